package main

import (
	"fmt"
	"strings"

	"casemate/cmd/confine"
	"casemate/policy/lang"
	"casemate/policy/schema"

	"github.com/spf13/cobra"
)

// languageReport is the JSON of schema language: the attribute table.
type languageReport struct {
	FormatVersion int             `json:"format_version"`
	Blocks        []languageBlock `json:"blocks"`
	Functions     []lang.Function `json:"functions"`
}

type languageBlock struct {
	Name       string              `json:"name"`
	Attributes []languageAttribute `json:"attributes"`
	Blocks     []languageBlock     `json:"blocks,omitempty"`
}

type languageAttribute struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"`
	Example string   `json:"example"`
	Default string   `json:"default,omitempty"`
	Bounds  string   `json:"bounds,omitempty"`
	Words   []string `json:"words,omitempty"`
	Layer   string   `json:"widens,omitempty"`
	Instead string   `json:"in_place_of,omitempty"`
	With    string   `json:"with,omitempty"`
	Doc     string   `json:"doc"`
	At      string   `json:"compiled_at"`
}

func (a *app) schemaCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema [language|document]",
		Short: "The policy language and its compiled form, for people and for tools",
		Long: `schema prints the reference of the policy language as Markdown: each block with its
attributes, what kind of value each one takes, its default, its bounds and what it is for. It is
made of the table that the compiler itself goes by, as casemate help policy and
casemate-policy(5) are. With -o json it is the table itself.

schema document prints the JSON Schema (2020-12) of what casemate compile writes, for editors
and for what makes or reads such documents. What has another shape it refuses; whether the
values mean something together says casemate check.`,
		Example: `  casemate schema >policy.md
  casemate schema document >casemate.schema.json
  casemate schema -o json | jq '.blocks[] | select(.name | startswith("limit"))'`,
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: []string{"language", "document"},
		RunE: func(_ *cobra.Command, args []string) error {
			switch what := strings.Join(args, ""); {
			case what == "document":
				text, err := schema.JSON()
				if err == nil {
					a.printf("%s", text)
				}
				return err
			case what != "" && what != "language":
				return fmt.Errorf("schema: there is no %q: write language or document", what)
			case a.json():
				return a.printJSON(languageReport{1, languageBlocks(lang.Reference()), lang.Functions()})
			}
			a.printf("%s", reference())
			return nil
		},
	}
	a.grants[cmd] = func([]string) confine.Grant { return confine.Grant{} }
	return cmd
}

func languageBlocks(list []lang.Block) (out []languageBlock) {
	for i := range list {
		b := languageBlock{Name: list[i].Name, Attributes: []languageAttribute{}, Blocks: languageBlocks(list[i].Blocks)}
		for k := range list[i].Attributes {
			at := &list[i].Attributes[k]
			b.Attributes = append(b.Attributes, languageAttribute{at.Name, at.Kind(), at.Example, at.Unset, at.Bounds, at.Words, at.Layer, at.Instead, at.With, at.Doc, at.At()})
		}
		out = append(out, b)
	}
	return out
}

// reference is the page of the language as Markdown: the same rows and words as policyPage.
func reference() string {
	var b strings.Builder
	b.WriteString("# The policy language of casemate\n\n")
	markdownText(&b, policyIntro)
	for i, block := range lang.Reference() {
		markdownBlock(&b, block.Name, &block)
		markdownText(&b, policyNotes[i])
	}
	b.WriteString("## Functions\n\n| call | value |\n|---|---|\n")
	for _, f := range lang.Functions() {
		fmt.Fprintf(&b, "| %s | %s |\n", codeCell(f.Example), textCell(f.Doc))
	}
	return b.String()
}

// markdownBlock writes a block's attributes, then the blocks in it.
func markdownBlock(b *strings.Builder, title string, block *lang.Block) {
	fmt.Fprintf(b, "## `%s`\n\n| attribute | kind | example | default | may be | widens | |\n|---|---|---|---|---|---|---|\n", title)
	for i := range block.Attributes {
		at := &block.Attributes[i]
		may := at.Bounds
		for k, w := range at.Words {
			if k > 0 || may != "" {
				may += ", "
			}
			may += w
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s | %s | %s |\n", at.Name, at.Kind(), codeCell(at.Example), codeCell(at.Unset), textCell(may), at.Layer, textCell(beside(at)))
	}
	b.WriteString("\n")
	for i := range block.Blocks {
		inner := &block.Blocks[i]
		markdownBlock(b, title+" › "+inner.Name, inner)
	}
}

// beside is what the columns of a table do not have of an attribute.
func beside(at *lang.Attribute) string {
	rest := *at
	rest.Words, rest.Bounds, rest.Unset = nil, "", ""
	return rest.About()
}

// textCell is a text in a table's cell, none of which is markup.
func textCell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "[", `\[`, "`", "\\`").Replace(text)
}

func codeCell(text string) string {
	if text == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(text, "|", `\|`) + "`"
}

// markdownText writes paragraphs, and what is indented in them as code.
func markdownText(b *strings.Builder, text string) {
	code := false
	for line := range strings.Lines(strings.Trim(text, "\n") + "\n") {
		if indented := strings.HasPrefix(line, "  "); indented != code && strings.TrimSpace(line) != "" {
			code = indented
			b.WriteString(map[bool]string{true: "```hcl\n", false: "```\n"}[code])
		}
		if code {
			b.WriteString(strings.TrimPrefix(line, "  "))
		} else {
			b.WriteString(textCell(line))
		}
	}
	if code {
		b.WriteString("```\n")
	}
	b.WriteString("\n")
}
