// Package fences holds the tests that keep the shape of the project: which
// package may import which, what the privileged binary links, where cgo,
// unsafe and process starts may stand, how long files and functions get, and
// what lies at the top of the tree.
//
// It reads source text only (go/parser) and asks `go list` for what a binary
// links; it runs nothing of the product.
package fences
