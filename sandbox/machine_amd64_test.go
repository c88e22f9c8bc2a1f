package sandbox

// dynamicLoader is that of glibc, libraries the folder of this architecture's.
const dynamicLoader, libraries = "/lib64/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu"
