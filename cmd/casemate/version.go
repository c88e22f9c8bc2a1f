package main

import (
	"runtime"
	"runtime/debug"

	"casemate/cmd/version"

	"github.com/spf13/cobra"
)

func (a *app) versionCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "version prints the version of casemate (the tag, or the commit), the Go release it is built with and the revision of its source.",
		Example: "  casemate version -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			revision := "unknown"
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						revision = s.Value
					}
				}
			}
			if a.json() {
				return a.printJSON(struct {
					FormatVersion int    `json:"format_version"`
					Version       string `json:"version"`
					Go            string `json:"go"`
					Revision      string `json:"revision"`
					Edition       int    `json:"edition"`
				}{1, version.Word(), runtime.Version(), revision, 1})
			}
			a.printf("casemate %s (%s, revision %s), policy edition 1\n", version.Word(), runtime.Version(), revision)
			return nil
		},
	}
}
