//go:build !cgo

package zygote

import "errors"

// Spawn needs the C side.
func Spawn(*Plan) (*Zygote, error) { return nil, errors.New("start zygote: built without cgo") }

func (z *Zygote) writeMaps(*Plan) error { return errors.New("map user namespace: built without cgo") }

// Mapped needs the C side.
func Mapped(id, uid, gid uint32) (int, error) { return -1, errors.New("map ids: built without cgo") }

// QuietChildren has nothing to do where no child can be started.
func QuietChildren() {}

// Undertake needs the C side.
func Undertake([]int) error { return errors.New("start undertaker: built without cgo") }
