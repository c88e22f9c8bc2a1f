package lsp

// The parts of the Language Server Protocol (3.17) that are spoken here. Lines and characters count from 0, characters
// in UTF-16 code units.
type (
	position struct {
		Line      int `json:"line"`
		Character int `json:"character"`
	}
	span struct {
		Start position `json:"start"`
		End   position `json:"end"`
	}
	location struct {
		URI   string `json:"uri"`
		Range span   `json:"range"`
	}
	textEdit struct {
		Range   span   `json:"range"`
		NewText string `json:"newText"`
	}
	document struct {
		URI     string `json:"uri"`
		Version int    `json:"version"`
		Text    string `json:"text"`
	}

	// params are those of all methods together: each has some of them.
	params struct {
		RootURI          *string `json:"rootUri"`
		RootPath         *string `json:"rootPath"`
		WorkspaceFolders []struct {
			URI string `json:"uri"`
		} `json:"workspaceFolders"`
		TextDocument   document `json:"textDocument"`
		Position       position `json:"position"`
		NewName        string   `json:"newName"`
		ContentChanges []struct {
			Range *span  `json:"range"`
			Text  string `json:"text"`
		} `json:"contentChanges"`
	}

	capabilities struct {
		PositionEncoding           string     `json:"positionEncoding"`
		TextDocumentSync           syncs      `json:"textDocumentSync"`
		HoverProvider              bool       `json:"hoverProvider"`
		CompletionProvider         completion `json:"completionProvider"`
		DefinitionProvider         bool       `json:"definitionProvider"`
		DocumentSymbolProvider     bool       `json:"documentSymbolProvider"`
		DocumentFormattingProvider bool       `json:"documentFormattingProvider"`
		RenameProvider             bool       `json:"renameProvider"`
	}
	syncs struct {
		OpenClose bool `json:"openClose"`
		Change    int  `json:"change"` // 1: the whole text
		Save      bool `json:"save"`
	}
	completion struct {
		TriggerCharacters []string `json:"triggerCharacters"`
	}
	initialized struct {
		Capabilities capabilities `json:"capabilities"`
		ServerInfo   serverInfo   `json:"serverInfo"`
	}
	serverInfo struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}

	diagnostic struct {
		Range    span   `json:"range"`
		Severity int    `json:"severity"` // 1 error, 2 warning, 3 information
		Code     string `json:"code"`
		Source   string `json:"source"`
		Message  string `json:"message"`
	}
	published struct {
		URI         string       `json:"uri"`
		Version     *int         `json:"version,omitempty"`
		Diagnostics []diagnostic `json:"diagnostics"`
	}
	markup struct {
		Kind  string `json:"kind"`
		Value string `json:"value"`
	}
	hover struct {
		Contents markup `json:"contents"`
		Range    span   `json:"range"`
	}
	item struct {
		Label         string   `json:"label"`
		Kind          int      `json:"kind"` // 10 a property, 9 a block, 12 a value
		Documentation *markup  `json:"documentation,omitempty"`
		TextEdit      textEdit `json:"textEdit"`
	}
	items struct {
		IsIncomplete bool   `json:"isIncomplete"`
		Items        []item `json:"items"`
	}
	symbol struct {
		Name           string   `json:"name"`
		Kind           int      `json:"kind"` // 5 a block, 7 an attribute
		Range          span     `json:"range"`
		SelectionRange span     `json:"selectionRange"`
		Children       []symbol `json:"children,omitempty"`
	}
	workspaceEdit struct {
		Changes map[string][]textEdit `json:"changes"`
	}
)
