//go:build cgo

// Package csizes has the numbers of zygote.h as C has them, for the test that holds the
// Go side of package zygote equal with them. Nothing that runs links it.
package csizes

// #cgo CFLAGS: -I${SRCDIR}/..
// #define _GNU_SOURCE
// #include <sched.h>
// #include <signal.h>
// #include "zygote.h"
// enum { CHANGES = 10 }; // of zygote.h: Go's build cache sees this file alone, so who changes that counts on
import "C"

// The sizes in bytes of what goes between the two sides, the numbers both have, and how
// many steps there are.
const (
	Plan        = uint64(C.sizeof_struct_plan)
	Gate        = uint64(C.GATE)
	RequestHead = uint64(C.REQUEST_HEAD)
	Reply       = uint64(C.sizeof_struct_reply)
	Marks       = uint64(C.MARKS_SIZE)
	BrokerCaps  = uint64(C.BROKER_CAPS)
	LatentCaps  = uint64(C.LATENT_CAPS)
	InitFlags   = uint64(C.INIT_FLAGS)
	FDCount     = uint64(C.FD_COUNT)
	FDPlan      = uint64(C.FD_PLAN)
	MaxSlots    = uint64(C.MAX_SLOTS)
	Steps       = uint64(C.STEP_LOOPBACK) + 1
)

// Fields are those of struct plan.
type Fields = C.struct_plan
