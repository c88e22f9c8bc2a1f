package dynlink

const (
	// glibc is the dynamic loader whose way of searching this is, tuple Debian's name of the architecture.
	glibc, tuple = "ld-linux-x86-64.so.2", "x86_64-linux-gnu"
	// cacheHere are the flags of an ELF library of glibc for it.
	cacheHere = 0x0303
)
