package machine

const (
	Name, Compiled = "arm64", "arm64"
	Audit, ELF     = 0xc00000b7, 183 // AUDIT_ARCH_AARCH64, EM_AARCH64
	GatePage       = 0x8000          // what Go builds is linked to 0x10000
)
