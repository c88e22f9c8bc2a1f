package seccomp

const cloneThreadGo = 0x0d0f00 // VM|FS|FILES|SIGHAND|THREAD|SYSVSEM|SETTLS
