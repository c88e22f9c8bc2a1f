#!/bin/sh
# A guest book: adds the line that a guest writes, and shows the last five.
read -r line
printf '%s\n' "$line" | tr -cd '[:print:]\n' | cut -c1-60 >>/state/book
tail -n 5 /state/book
echo "$(wc -l </state/book) in all"
