package sandbox

// dynamicLoader is that of glibc, libraries the folder of this architecture's.
const dynamicLoader, libraries = "/lib/ld-linux-aarch64.so.1", "/usr/lib/aarch64-linux-gnu"
