#!/bin/sh
# Says hello, and what day it is where the caller lives.
read -r name zone
echo "hello $(printf %s "$name" | tr -cd '[:alnum:]' | cut -c1-20)"
TZ=$(printf %s "${zone:-UTC}" | tr -cd '[:alnum:]/_' | cut -c1-40) timeout 5 date '+it is %Y, %Z'
