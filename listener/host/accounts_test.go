package host

import "testing"

func FuzzAccounts(f *testing.F) {
	f.Add("root:x:0:0:root:/root:/bin/sh\n", "root:x:0:\n")
	f.Fuzz(func(t *testing.T, passwd, group string) {
		a := ParseAccounts(passwd, group)
		for name := range a.users {
			if uid, _, err := a.User(name); err != nil || uid == 1<<32-1 {
				t.Errorf("user %q: %d, %v", name, uid, err)
			}
		}
	})
}
