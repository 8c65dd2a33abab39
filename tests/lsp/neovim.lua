-- Drives Neovim's own client against `vtbuild lsp`, and reports what the editor then has.

local report = {}

local function wait(what, probe)
  if not vim.wait(60000, probe, 20) then
    error(what .. " did not come")
  end
end

local function text(buffer)
  return table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), "\n")
end

local function run()
  local buffer = vim.api.nvim_get_current_buf()
  local published, ended = 0, nil
  local publish = vim.lsp.handlers["textDocument/publishDiagnostics"]
  local id = vim.lsp.start_client({
    name = "vtbuild",
    cmd = { vim.env.VTBUILD, "lsp" },
    root_dir = vim.fn.getcwd(),
    init_options = { lint = false },
    handlers = {
      ["textDocument/publishDiagnostics"] = function(...)
        publish(...)
        published = published + 1
      end,
    },
    on_exit = function(code)
      ended = code
    end,
  })
  assert(vim.lsp.buf_attach_client(buffer, id))
  wait("the first diagnostics", function() return published > 0 end)

  local function ask(method, at, more)
    local params = { textDocument = vim.lsp.util.make_text_document_params(buffer), position = at }
    local answers = assert(vim.lsp.buf_request_sync(buffer, method, vim.tbl_extend("error", params, more or {}), 60000))
    assert(not answers[id].err, vim.inspect(answers[id].err))
    return answers[id].result
  end

  vim.api.nvim_buf_set_lines(buffer, -1, -1, false, { "oops" })
  wait("a mistake", function() return #vim.diagnostic.get(buffer) > 0 end)
  local mistake = vim.diagnostic.get(buffer)[1]
  report.mistake = { lnum = mistake.lnum, severity = mistake.severity, message = mistake.message }
  vim.api.nvim_buf_set_lines(buffer, -2, -1, false, {})
  wait("its end", function() return #vim.diagnostic.get(buffer) == 0 end)
  report.left = #vim.diagnostic.get(buffer)

  -- `small` in `only (guest=small)..boot`.
  local at = { line = 8, character = 22 }
  local place = ask("textDocument/definition", at)[1]
  report.definition = vim.uri_to_fname(place.uri) .. ":" .. (place.range.start.line + 1)
  local lines = vim.lsp.util.convert_input_to_markdown_lines(ask("textDocument/hover", at).contents)
  report.hover = table.concat(lines, "\n"):gsub("`", "")
  local edit = ask("textDocument/rename", at, { newName = "tiny" })
  report.changes = edit
  vim.lsp.util.apply_workspace_edit(edit, vim.lsp.get_client_by_id(id).offset_encoding)
  report.main = text(buffer)
  report.guests = text(vim.uri_to_bufnr(place.uri))

  vim.lsp.stop_client(id)
  wait("the server's end", function() return ended ~= nil end)
  report.code = ended
end

local good, why = pcall(run)
if not good then
  report.failed = tostring(why)
end
local file = assert(io.open("report.json", "w"))
file:write(vim.json.encode(report))
file:close()
vim.cmd("qall!")
