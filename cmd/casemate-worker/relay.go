package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"casemate/listener/relay"
)

// runRelay carries one client's connection to its target. args are the target, as the
// policy writes it, and the version of the PROXY protocol if there is to be a header.
// Without, it carries for programs, as the broker on descriptor 0 says.
func runRelay(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return runRelays(ctx, 0)
	}
	if len(args) > 2 {
		return errUsage
	}
	files, err := inherited(os.LookupEnv, os.Unsetenv, os.Getpid())
	if err != nil {
		return err
	}
	over := make(chan error, 1)
	go func() {
		over <- carry(args, files)
		runtime.KeepAlive(files)
	}()
	select {
	case err = <-over:
	case <-ctx.Done(): // whoever wants it to end does not wait for a client
		return nil
	}
	if err != nil {
		return fmt.Errorf("relay: %s: %w", args[0], err)
	}
	return nil
}

// carry does it. A client whose target cannot be had is told by a reset.
func carry(args []string, files []*os.File) error {
	client := int(files[0].Fd())
	target, err := reach(args[0], client, files)
	if err == nil && len(args) == 2 {
		err = relay.Introduce(target, client, args[1])
	}
	switch {
	case errors.Is(err, relay.ErrLeft):
		return nil
	case err != nil:
		relay.Reset(client)
		return err
	}
	return relay.Relay(client, target)
}

// reach gives the socket of the target, connected.
func reach(name string, client int, files []*os.File) (int, error) {
	if path, ok := strings.CutPrefix(name, "unix:"); ok {
		return relay.Dial(path)
	}
	if len(files) != 2 {
		return -1, errors.New("its connection was not handed over")
	}
	target := int(files[1].Fd())
	return target, relay.Await(target, client, relay.ConnectTime)
}
