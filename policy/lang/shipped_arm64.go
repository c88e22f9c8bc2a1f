package lang

import "bytes"

// baseText is the shipped profiles' source for this architecture: the dynamic loader is in /lib, and
// not every system has a /lib64 beside it.
func baseText() []byte {
	const libraries = `exec = ["/lib", "/lib64", "/usr/lib"]`
	return bytes.ReplaceAll(baseSource, []byte(libraries), []byte(libraries+"\n    optional = [\"/lib64\"]"))
}
