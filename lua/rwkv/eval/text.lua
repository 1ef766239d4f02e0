-- aviary eval text: how well a model predicts texts of any length, read in chunks with the state carried on; over all, and by
-- how many tokens of the document stand before.
local core = require "rwkv.core"
local progress = require "rwkv.progress"
local reading = require "rwkv.eval.reading"
local record = require "rwkv.eval.record"
local tsv = require "rwkv.tsv"

local text = { defaults = { text = "", chunk = 512, limit = 0, separator = "" }, needs = "text" }

-- Bins of positions, two an octave: bin k has those from edges[k] up to edges[k + 1] - 1; 1 is the first token of a document.
local edges = { 1 }
for k = 2, 120 do
  local edge = math.floor(2 ^ (k / 2) + 0.5)
  if edge > edges[#edges] then edges[#edges + 1] = edge end
end

-- The sums of one text: by bin the tokens that were scored, their bytes and log-probabilities; documents; chunks that are done;
-- how many tokens of the last document have been read.
local function new_sums() return { documents = 0, chunks = 0, position = 0, bins = {} } end

local function add(sums, position, log_p, bytes)
  local k = sums.bin or 1
  if position < edges[k] then k = 1 end
  while position >= edges[k + 1] do k = k + 1 end
  sums.bin = k
  local bin = sums.bins[k] or { tokens = 0, bytes = 0, log_p = 0.0 }
  sums.bins[k] = bin
  bin.tokens, bin.bytes, bin.log_p = bin.tokens + 1, bin.bytes + bytes, bin.log_p + log_p
end

-- Of bins first .. last of some texts, always in the same order: tokens, bytes, loss in nats a token, perplexity, bits a byte.
local function summary(texts, first, last)
  local tokens, bytes, log_p = 0, 0, 0.0
  for _, sums in ipairs(texts) do
    for k = first or 1, last or #edges do
      local bin = sums.bins[k]
      if bin then tokens, bytes, log_p = tokens + bin.tokens, bytes + bin.bytes, log_p + bin.log_p end
    end
  end
  return { tokens = tokens, bytes = bytes, loss = -log_p / tokens, perplexity = math.exp(-log_p / tokens),
    bits_per_byte = -log_p / math.log(2) / bytes }
end

-- ---- a chunk ----

-- Scores a chunk: ids, of which each is predicted from those before, and the first from `before`, a list of ids that are not
-- scored. Without any the first is not scored.
local function score(e, sums, state, before, ids)
  local inputs, targets = table.move(before, 1, #before, 1, {}), {}
  table.move(ids, 1, #ids, #inputs + 1, inputs)
  for i = 2, #inputs do targets[i - 1] = i > #before and inputs[i] or -1 end
  inputs[#inputs] = nil
  sums.position = sums.position + #ids
  if #inputs == 0 then return state end
  local log_p, _, after = core.no_grad(e.model.log_likelihood, e.model, inputs, targets, { state = state })
  local first = sums.position - #log_p
  for i, x in ipairs(log_p) do
    if x - x ~= 0 then
      error(("token %d: the log-probability is %s: the model's logits are no finite numbers"):format(first + i, x), 0)
    end
    add(sums, first + i, x, e.bytes_of[ids[#ids - #log_p + i]])
  end
  return after
end

-- ---- what is kept of a run that was stopped ----

local columns = { "text", "documents", "chunks", "position", "bin", "tokens", "bytes", "log_p" }

-- Everything after a chunk: the sums of all texts as rows, and the state. Nothing that is computed later changes it.
local function snapshot(all, state)
  local rows = {}
  for i, sums in ipairs(all) do
    rows[#rows + 1] = { text = i, documents = sums.documents, chunks = sums.chunks, position = sums.position, bin = 0 }
    for k, bin in pairs(sums.bins) do
      rows[#rows + 1] = { text = i, bin = k, tokens = bin.tokens, bytes = bin.bytes, log_p = bin.log_p }
    end
  end
  return { rows = rows, state = state:copy() }
end

local function save(e)
  if not e.kept then return end
  local tensors, state = {}, e.kept.state
  for i, name in ipairs(state:names()) do tensors[i] = { name = name, value = state:get(name) } end
  core.save_tensors(e.checkpoint, tensors, { sums = tsv.text(columns, e.kept.rows, record.comments(e.facts)) })
end

-- The sums of all texts so far, and the state after the last chunk; empty if there is no checkpoint.
local function resume(e)
  local file = io.open(e.checkpoint, "rb")
  if not file or e.options.again then return {} end
  file:close()
  local tensors, meta = core.load_tensors(e.checkpoint)
  record.check(e.facts, meta.sums or "", e.checkpoint)
  local all, state = {}, e.model:state(1)
  for _, row in ipairs((tsv.parse(meta.sums, e.checkpoint))) do
    if row.bin == 0 then
      all[row.text] = { documents = row.documents, chunks = row.chunks, position = row.position, bins = {} }
    else
      all[row.text].bins[row.bin] = { tokens = row.tokens, bytes = row.bytes, log_p = row.log_p }
    end
  end
  for _, name in ipairs(state:names()) do state:set(name, tensors[name].value) end
  return all, state
end

-- ---- a text ----

-- What happens with every chunk of a text: sums grow, the state goes on.
local function evaluate(e, path, all, index, state)
  local sums, limit, chunk, read = all[index] or new_sums(), e.options.limit, 0, 0
  local skip, before = sums.chunks, nil
  all[index] = sums
  local bar = progress(path:match "[^/]*$", limit > 0 and limit or reading.size(path), limit > 0 and "tok" or "B")
  local save_now_and_then = record.saver(function() save(e) end)
  for ids, begins in reading.chunks(path, e.tokenizer, e.options.separator, e.options.chunk) do
    chunk = chunk + 1
    if limit > 0 and read + #ids > limit then ids = table.move(ids, 1, limit - read, 1, {}) end
    if #ids == 0 then break end
    for _, id in ipairs(ids) do e.bytes_of[id] = e.bytes_of[id] or #e.tokenizer:bytes(id) end
    if begins then before = e.prefix end
    if chunk > skip then
      if begins then state, sums.documents, sums.position = nil, sums.documents + 1, 0 end
      state = score(e, sums, state, before, ids)
      sums.chunks = chunk
      if state and not e.grows then e.kept = snapshot(all, state) end
      save_now_and_then()
    end
    read, before = read + #ids, { ids[#ids] }
    local s = summary { sums }
    bar:update(limit > 0 and read or s.bytes, ("perplexity %.2f"):format(s.perplexity))
  end
  local s = summary { sums }
  if s.tokens == 0 then error(("%s: there is no token to score in it"):format(path), 0) end
  bar:finish(("%d tokens, perplexity %.4g, %.4g bits a byte"):format(s.tokens, s.perplexity, s.bits_per_byte))
  return state
end

-- ---- all of them ----

local tables = {
  texts = { "text", "documents", "tokens", "bytes", "loss", "perplexity", "bits_per_byte" },
  positions = { "text", "from", "to", "tokens", "bytes", "loss", "bits_per_byte" },
}

-- A row for each text, one for each of its bins, and a curve.
local function rows_of(paths, all)
  local rows, positions, series = {}, {}, {}
  for i, sums in ipairs(all) do
    rows[i] = summary { sums }
    rows[i].text, rows[i].documents = paths[i], sums.documents
    series[i] = { x = {}, y = {}, label = paths[i]:match "[^/]*$" }
    for k = 1, #edges do
      if sums.bins[k] then
        local row = summary({ sums }, k, k)
        row.text, row.from, row.to = paths[i], edges[k], edges[k + 1] - 1
        positions[#positions + 1] = row
        table.insert(series[i].x, (row.from * row.to) ^ 0.5)
        table.insert(series[i].y, row.loss)
      end
    end
  end
  return rows, positions, series
end

local function write(e, all)
  local rows, positions, series = rows_of(e.texts, all)
  record.write(e.out .. "/text.tsv", e.facts, tables.texts, rows)
  record.write(e.out .. "/text.positions.tsv", e.facts, tables.positions, positions)
  local drawn, why = pcall(e.plot, { series = series, kind = "linespoints", logx = true, title = e.title,
    xlabel = "position in the document, in tokens", ylabel = "loss in nats a token", file = e.out .. "/text.png" })
  if not drawn then io.stderr:write("no picture: ", why, "\n") end
end

-- unchanged(): fails if a text is not what it was.
function text.run(e, unchanged)
  if not e.options.again then record.read(e.out .. "/text.tsv", e.facts) end -- of the same, or it is refused
  e.checkpoint, e.bytes_of = e.out .. "/text.checkpoint", {}
  e.grows = e.model:state_floats(1) > e.model:state_floats(0) -- such a state is not kept
  local all, state = resume(e)
  record.saving(function() save(e) end, function()
    for i = math.max(1, #all), #e.texts do state = evaluate(e, e.texts[i], all, i, state) end
  end)
  unchanged()
  write(e, all)
  os.remove(e.checkpoint)
  local s = summary(all)
  return ("tokens=%d bytes=%d perplexity=%.12g bits_per_byte=%.12g"):format(s.tokens, s.bytes, s.perplexity, s.bits_per_byte)
end

return text
