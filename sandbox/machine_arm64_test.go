package sandbox

// dynamicLoader is that of glibc.
const dynamicLoader = "/lib/ld-linux-aarch64.so.1"
