-- What nvim does with a policy and casemate lsp; what it sees is one line of JSON on stdout.
local out = {}
-- done ends the editor.
local function done(failed)
  out.failed = failed
  io.stdout:write(vim.json.encode(out), "\n")
  vim.cmd("qa!")
end
local ok, err = pcall(function()
  local patience = 60000
  vim.cmd("edit s.cm.hcl")
  local id = vim.lsp.start_client({ cmd = { os.getenv("CASEMATE"), "lsp" }, root_dir = vim.fn.getcwd() })
  vim.lsp.buf_attach_client(0, id)
  local client = vim.lsp.get_client_by_id(id)
  assert(vim.wait(patience, function() return client.initialized end), "no initialize")
  out.capabilities = client.server_capabilities.hoverProvider
  local function ask(method, params)
    params = params or vim.lsp.util.make_position_params(0, client.offset_encoding)
    local r = vim.lsp.buf_request_sync(0, method, params, patience)
    assert(r and r[id], method .. " is not answered")
    assert(not r[id].err, vim.inspect(r[id].err))
    return r[id].result
  end
  out.encoding = client.offset_encoding
  -- A mistake that is typed.
  vim.api.nvim_buf_set_lines(0, 9, 10, true, { "  acl     = acl.ofice" })
  assert(vim.wait(patience, function() return #vim.diagnostic.get(0) > 0 end), "no diagnostics")
  out.diagnostics = vim.tbl_map(function(d) return { d.lnum, d.col, d.end_col, d.code or "", d.message } end, vim.diagnostic.get(0))
  -- And made good.
  vim.api.nvim_buf_set_lines(0, 9, 10, true, { "  acl     = acl.office" })
  assert(vim.wait(patience, function() return #vim.diagnostic.get(0) == 0 end), "diagnostics stay")
  vim.api.nvim_win_set_cursor(0, { 8, 3 })
  out.hover = ask("textDocument/hover").contents.value
  vim.api.nvim_win_set_cursor(0, { 10, 17 })
  out.completion = vim.tbl_map(function(i) return i.label end, ask("textDocument/completion").items)
  local places = ask("textDocument/definition")
  vim.lsp.util.jump_to_location(places[1], client.offset_encoding)
  out.jumped = vim.api.nvim_win_get_cursor(0)
  out.symbols = vim.tbl_map(function(s) return s.name end, ask("textDocument/documentSymbol", { textDocument = vim.lsp.util.make_text_document_params() }))
  vim.lsp.buf.formatting_sync({}, patience)
  out.formatted = vim.api.nvim_buf_get_lines(0, 4, 12, true)
  vim.api.nvim_win_set_cursor(0, { 2, 6 })
  vim.lsp.buf.rename("staff")
  assert(vim.wait(patience, function() return vim.api.nvim_buf_get_lines(0, 9, 10, true)[1]:find("acl.staff", 1, true) end), "not renamed")
  out.renamed = vim.api.nvim_buf_get_lines(0, 1, 2, true)[1]
  vim.lsp.stop_client(id)
  assert(vim.wait(patience, function() return client.is_stopped() end), "it does not end")
end)
done(not ok and tostring(err) or nil)
