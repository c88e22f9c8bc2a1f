package seccomp

const cloneThreadGo = 0x050f00 // VM|FS|FILES|SIGHAND|THREAD|SYSVSEM: Go sets the register of its threads' storage itself
