package sandbox

// dynamicLoader is that of glibc.
const dynamicLoader = "/lib64/ld-linux-x86-64.so.2"
