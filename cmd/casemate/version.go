package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"casemate/cmd/confine"
	"casemate/cmd/version"
	"casemate/policy/valid"
	"casemate/sandbox"

	"github.com/spf13/cobra"
)

func (a *app) versionCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "version prints the version of casemate (the tag, or the commit), the Go release it is built with and the revision of its source,\nwhich of the things that casemate does not need this kernel keeps from it, and what a profile's processor block finds on this host:\na switch, none (the service is refused without best_effort), or nothing that there would be to switch.",
		Example: "  casemate version -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			abi, enforced := confine.InForce()
			if a.json() {
				return a.printJSON(struct {
					FormatVersion int    `json:"format_version"`
					Version       string `json:"version"`
					Go            string `json:"go"`
					Revision      string `json:"revision"`
					Edition       int    `json:"edition"`
					LandlockABI   int    `json:"landlock_abi"`
					// Confined is what the kernel takes from casemate itself.
					Confined []string `json:"confined"`
					// Processor says of each attribute of the block: switch, none or nothing.
					Processor map[string]string `json:"processor"`
				}{1, version.Word(), runtime.Version(), revision(), 1, abi, append([]string{}, enforced...), processorHere()})
			}
			a.printf("%s\n", versionLine())
			if abi == 0 {
				a.printf("not confined: this kernel has no Landlock\n")
			} else {
				a.printf("confined by Landlock (ABI %d): %s\n", abi, strings.Join(enforced, ", "))
			}
			here := processorHere()
			a.printf("processor:")
			for i, k := range valid.Kept {
				a.printf("%s %s: %s", []string{"", ";"}[min(i, 1)], k.Name, map[string]string{controlled: "a switch", missing: "no switch", needless: "nothing to switch"}[here[k.Name]])
			}
			a.printf("\n")
			return nil
		},
	}
}

// What a host has for an attribute of processor.
const (
	controlled = "switch"
	missing    = "none"
	needless   = "nothing"
)

// processorHere asks this kernel.
func processorHere() map[string]string {
	here := map[string]string{}
	for i, p := range []sandbox.Processor{{StoreBypass: "off"}, {IndirectBranch: "off"}, {Core: "service"}} {
		name := valid.Kept[i].Name
		switch set, lacks := p.Controls(); {
		case len(lacks) > 0:
			here[name] = missing
		case set != 0:
			here[name] = controlled
		default:
			here[name] = needless
		}
	}
	return here
}

func versionLine() string {
	return fmt.Sprintf("casemate %s (%s, revision %s), policy edition 1", version.Word(), runtime.Version(), revision())
}

// revision is that of the source, where the build knew it.
func revision() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
