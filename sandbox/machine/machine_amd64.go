package machine

const (
	Name, Compiled = "x86-64", ""
	Audit, ELF     = 0xc000003e, 62 // AUDIT_ARCH_X86_64, EM_X86_64
	GatePage       = 0x100000
)
