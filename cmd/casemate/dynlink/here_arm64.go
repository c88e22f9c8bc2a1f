package dynlink

const (
	// glibc is the dynamic loader whose way of searching this is, tuple Debian's name of the architecture.
	glibc, tuple = "ld-linux-aarch64.so.1", "aarch64-linux-gnu"
	// cacheHere are the flags of an ELF library of glibc for it.
	cacheHere = 0x0a03
)
