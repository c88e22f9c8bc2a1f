package facts

import "testing"

// TestOurs: a socket that casemated has among others is its own, and addresses are read as the kernel writes them.
func TestOurs(t *testing.T) {
	n := &Net{holders: map[string][]holder{"5": {{7, "cat"}, {8, "casemated"}}}}
	if _, _, ours := n.who(&held{inode: "5"}); !ours {
		t.Error("casemated's own socket is taken for another's")
	}
	if at, ok := procAddr("0000000000000000FFFF00000100007F:0050"); !ok || at.String() != "[::ffff:127.0.0.1]:80" {
		t.Error(at, ok)
	}
}
