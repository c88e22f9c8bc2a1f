// Command words counts the words of each line that its client sends, which is its standard
// input and output as inetd hands them over.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	c, err := net.FileConn(os.Stdin)
	if err != nil {
		log.Fatalf("standard input is no connection: %v", err)
	}
	if err := serve(c); err != nil {
		log.Fatalf("client %s: %v", c.RemoteAddr(), err)
	}
}

func serve(c net.Conn) error {
	defer c.Close()
	for lines := bufio.NewScanner(c); ; {
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			return err
		}
		if !lines.Scan() {
			return lines.Err()
		}
		if _, err := fmt.Fprintln(c, len(strings.Fields(lines.Text()))); err != nil {
			return err
		}
	}
}
