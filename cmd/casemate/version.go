package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"casemate/cmd/confine"
	"casemate/cmd/version"

	"github.com/spf13/cobra"
)

func (a *app) versionCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "version prints the version of casemate (the tag, or the commit), the Go release it is built with and the revision of its source,\nand which of the things that casemate does not need this kernel keeps from it.",
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
				}{1, version.Word(), runtime.Version(), revision(), 1, abi, append([]string{}, enforced...)})
			}
			a.printf("%s\n", versionLine())
			if abi == 0 {
				a.printf("not confined: this kernel has no Landlock\n")
			} else {
				a.printf("confined by Landlock (ABI %d): %s\n", abi, strings.Join(enforced, ", "))
			}
			return nil
		},
	}
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
