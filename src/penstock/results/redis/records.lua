-- Records. `task:ID` is a small hash, `message:ID` the message as submitted; both under our own prefix:
--   n number (the order of coming)  t task  q queue  s state  c created_at  e eta  x expires  b started_at  f finished_at
--   w worker  p pid  r retries  d deliveries  g generation  k cancel  u submitter  o owed since  l lease  R result
--   T traceback  P progress  C children (JSON)  A attempts (JSON). A field that is not there has its default.
-- Beside them: `tasks` (all, by number: the one index that every task is written to), `in:STATE` for the states that few
-- are in, `owed`, `expires`, `runs:LEASE`; `ended`, by second: one entry for all endings of a commit; `counts` of states;
-- and the feed, a stream with one entry for all lines of a commit.
-- Results for Celery's clients are its own keys, published on channels of the same names.

local TASKS, OWED, EXPIRES, ENDED = P .. "tasks", P .. "owed", P .. "expires", P .. "ended"
local COUNTS, NUMBERS, FEED = P .. "counts", P .. "numbers", P .. "feed"
local META = K .. ((K == "" or K:find("[:_%-%.]$")) and "" or "_") .. "celery-task-meta-"
local INDEXED = {RECEIVED = true, STARTED = true, RETRY = true, FAILURE = true, REVOKED = true}
local OVER = {SUCCESS = true, FAILURE = true, REVOKED = true}
local WAITING = {PENDING = true, RECEIVED = true, RETRY = true}
local ENTRY, HOUR = 250, 3600
local told, lines, counts, ends = {}, {}, {}, {}
local unseen = {} -- ids that a guard has found free

local function key(id) return P .. "task:" .. id end

local function tell(id, task, queue, state, worker, progress)
  told[#told + 1] = id
  lines[#lines + 1] = {task or "", queue or "", state, worker or "", progress or ""}
end

-- let Celery's clients know ("": what they need not know), and ours
local function announce(id, meta, seconds)
  if meta == "" then
    call("PUBLISH", C .. "task." .. id, "")
  else
    call("SET", META .. id, meta, "EX", seconds)
    call("PUBLISH", META .. id, meta)
  end
end

local function count(state, change) counts[state] = (counts[state] or 0) + change end

local function move(id, number, from, to)
  if from == to then return end
  count(from, -1)
  count(to, 1)
  if INDEXED[from] then call("ZREM", P .. "in:" .. from, id) end
  if INDEXED[to] then call("ZADD", P .. "in:" .. to, number, id) end
end

local function ended(id, finished)
  local second = math.floor(tonumber(finished))
  local ids = ends[second]
  if ids then ids[#ids + 1] = id else ends[second] = {id} end
end

finals[#finals + 1] = function()
  for from = 1, #told, ENTRY do
    local some, rest = {}, {}
    for at = from, math.min(from + ENTRY - 1, #told) do
      some[#some + 1] = told[at]
      rest[#rest + 1] = lines[at]
    end
    local last = call("HINCRBY", NUMBERS, "feed", #some)
    call("XADD", FEED, format("%d-0", last), "a", format("%.6f", now), "i", cmsgpack.pack(some), "l", cmsgpack.pack(rest))
  end
  if #told > 0 then call("PUBLISH", C .. "records", "") end
  for state, change in pairs(counts) do
    if change ~= 0 then call("HINCRBY", COUNTS, state, change) end
  end
  for second, ids in pairs(ends) do call("ZADD", ENDED, second, cmsgpack.pack(ids)) end
end

-- ARGV[from] … : a record's fields, of which it has `fields`; its index entries but for `tasks`
local function insert(id, number, from, fields)
  local state, expires, owed, queue, task, worker, lease, finished = "PENDING"
  for at = from, from + 2 * fields - 2, 2 do
    local name, value = ARGV[at], ARGV[at + 1]
    if name == "s" then state = value
    elseif name == "t" then task = value
    elseif name == "q" then queue = value
    elseif name == "x" then expires = value
    elseif name == "o" then owed = value
    elseif name == "w" then worker = value
    elseif name == "f" then finished = value end
  end
  call("HSET", key(id), "n", number, unpack(ARGV, from, from + 2 * fields - 1))
  count(state, 1)
  if INDEXED[state] then call("ZADD", P .. "in:" .. state, number, id) end
  if owed then call("ZADD", OWED, owed, id) end
  if expires and not OVER[state] then call("ZADD", EXPIRES, expires, id) end
  if finished then ended(id, finished) end
  return task, queue, state, worker
end

-- (id, submitter, created_at)…: none is there, save those that this very submission has written. Answers the first taken
function guards.fresh(from, to)
  local keys = {}
  for at = from, to, 3 do keys[#keys + 1] = key(ARGV[at]) end
  if call("EXISTS", unpack(keys)) == 0 then
    for at = from, to, 3 do unseen[ARGV[at]] = true end
    return true
  end
  for at = from, to, 3 do
    local found = call("HMGET", key(ARGV[at]), "n", "u", "c")
    if found[1] and not (found[2] and found[2] == ARGV[at + 1] and found[3] == ARGV[at + 2]) then
      return false, ARGV[at]
    end
  end
  return true
end

-- id…: all are there
function guards.known(from, to)
  local keys = {}
  for at = from, to do keys[#keys + 1] = key(ARGV[at]) end
  return call("EXISTS", unpack(keys)) == #keys
end

-- id, state, generation: it still stands like that
function guards.stands(from)
  local found = call("HMGET", key(ARGV[from]), "s", "g")
  return found[1] == ARGV[from + 1] and (found[2] or "0") == ARGV[from + 2]
end

-- whether to tell, (id, message, number of fields, (field, value)…)…: those that are not there yet
function steps.create(from, to)
  local new, index, messages, at = {}, {}, {}, from + 1
  while at <= to do
    local id, fields = ARGV[at], tonumber(ARGV[at + 2])
    if not new[id] and (unseen[id] or call("EXISTS", key(id)) == 0) then new[#new + 1] = at; new[id] = true end
    at = at + 3 + 2 * fields
  end
  if #new == 0 then return end
  local number = call("HINCRBY", NUMBERS, "task", #new) - #new
  for _, place in ipairs(new) do
    local id = ARGV[place]
    number = number + 1
    local task, queue, state, worker = insert(id, number, place + 3, tonumber(ARGV[place + 2]))
    if ARGV[from] == "1" then tell(id, task, queue, state, worker) end
    index[#index + 1] = number
    index[#index + 1] = id
    messages[#messages + 1] = P .. "message:" .. id
    messages[#messages + 1] = ARGV[place + 1]
  end
  for first = 1, #index, 2000 do
    local last = math.min(first + 1999, #index)
    call("ZADD", TASKS, unpack(index, first, last))
    call("MSET", unpack(messages, first, last))
  end
end

-- id…: for each its fields, its message, what Celery's clients see of it
local function record_row(id)
  local fields, meta = call("HGETALL", key(id)), call("GET", META .. id)
  return (#fields > 0 or meta) and {id, fields, call("GET", P .. "message:" .. id), meta} or nil
end

function steps.get(from, to)
  local found = {}
  for at = from, to do found[#found + 1] = record_row(ARGV[at]) end
  return found
end

-- the ending that a Celery worker wrote for a task
local function by_celery(id)
  local state = call("GETRANGE", META .. id, 0, 24):match('^{"status": "(%u+)"')
  return state and OVER[state] and state
end

-- the rows of those that have ended
function steps.ended(from, to)
  local found = {}
  for at = from, to do
    local id = ARGV[at]
    if OVER[call("HGET", key(id), "s")] or by_celery(id) then found[#found + 1] = record_row(id) end
  end
  return found
end

-- for each task how it stands: 1 where it waits for its first run, as most do, false where there is no record; otherwise
-- state, cancel, generation, retries, deliveries, seconds that the lease of its run has left
local function standings(ids)
  local metas, found = {}, {}
  for _, id in ipairs(ids) do metas[#metas + 1] = id and META .. id or nil end
  local told = #metas > 0 and call("EXISTS", unpack(metas)) > 0 -- one question for all: Celery has hardly ever ended any
  for number, id in ipairs(ids) do
    local row = id and call("HMGET", key(id), "s", "k", "g", "r", "d", "l") or {}
    if told and id and not OVER[row[1]] then row[1] = by_celery(id) or row[1] end
    local plain = row[1] == "PENDING" and not (row[2] or row[3] or row[4] or row[5])
    local score = row[1] == "STARTED" and row[6] and tonumber(call("ZSCORE", P .. "until", row[6]) or 0) or 0
    row[6] = score > 0 and format("%.6f", score - now)
    found[number] = plain and 1 or row[1] and row or false
  end
  return found
end

-- id…: how these stand
function steps.check(from, to)
  return standings({unpack(ARGV, from, to)})
end

-- how those stand that were claimed just now
function steps.claimed()
  return standings(claimed)
end

-- lease, id…: runs under it are owed, should it end before them. Answers which they are
function steps.park(from, to)
  local answer = {}
  for at = from + 1, to do
    local found = call("HMGET", key(ARGV[at]), "s", "l", "o", "c")
    local runs = found[1] == "STARTED" and found[2] == ARGV[from]
    if runs then
      local owed = found[3] or found[4]
      call("HSET", key(ARGV[at]), "o", owed)
      call("ZADD", OWED, owed, ARGV[at])
    end
    answer[#answer + 1] = runs and 1 or 0
  end
  return answer
end

-- lease, worker, pid, seconds for the result, (id, generation, started, deliveries, result for Celery)…
function steps.start(from, to)
  local lease, worker, answer = ARGV[from], ARGV[from + 1], {}
  for at = from + 4, to, 5 do
    local id = ARGV[at]
    local found = call("HMGET", key(id), "s", "g", "k", "n", "t", "q", "d", "l")
    local state = found[1]
    if not state or OVER[state] or found[3] or tonumber(found[2] or 0) > tonumber(ARGV[at + 1]) then
      answer[#answer + 1] = 0
    else
      local deliveries = math.max(tonumber(found[7] or 0), tonumber(ARGV[at + 3]))
      call("HDEL", key(id), "R", "T", "P", "o")
      call("HSET", key(id), "s", "STARTED", "b", ARGV[at + 2], "w", worker, "p", ARGV[from + 2], "d", deliveries, "l", lease)
      call("ZREM", OWED, id)
      if found[8] then call("SREM", P .. "runs:" .. found[8], id) end
      call("SADD", P .. "runs:" .. lease, id)
      move(id, found[4], state, "STARTED")
      announce(id, ARGV[at + 4], ARGV[from + 3])
      tell(id, found[5], found[6], "STARTED", worker)
      answer[#answer + 1] = 1
    end
  end
  return answer
end

-- what a run leaves behind, whichever way it ends
local function leave(id, found, worker)
  if found[6] then
    call("SREM", P .. "runs:" .. found[6], id)
    call("HDEL", key(id), "l")
  end
  if found[7] then
    call("ZREM", OWED, id)
    call("HDEL", key(id), "o")
  end
end

local function listed(old, item) return old and old:sub(1, -2) .. "," .. item .. "]" or "[" .. item .. "]" end

-- worker, pid, seconds for the result,
-- (id, generation, state, finished, started, result, traceback, deliveries, children, result for Celery)…; "": none
function steps.finish(from, to)
  local worker, pid, seconds, answer = ARGV[from], ARGV[from + 1], ARGV[from + 2], {}
  for at = from + 3, to, 10 do
    local id, state = ARGV[at], ARGV[at + 2]
    local found = call("HMGET", key(id), "s", "g", "n", "t", "q", "l", "o", "x", "d", "C")
    local before = found[1]
    if not before or OVER[before] or tonumber(found[2] or 0) > tonumber(ARGV[at + 1]) then
      answer[#answer + 1] = 0
    else
      local set = {"s", state, "f", ARGV[at + 3], "w", worker, "p", pid}
      if ARGV[at + 4] ~= "" then set[9] = "b"; set[10] = ARGV[at + 4] end
      if before == "RETRY" then call("HDEL", key(id), "R", "T") end
      if ARGV[at + 5] ~= "" then set[#set + 1] = "R"; set[#set + 1] = ARGV[at + 5] end
      if ARGV[at + 6] ~= "" then set[#set + 1] = "T"; set[#set + 1] = ARGV[at + 6] end
      if tonumber(ARGV[at + 7]) > tonumber(found[9] or 0) then set[#set + 1] = "d"; set[#set + 1] = ARGV[at + 7] end
      if ARGV[at + 8] ~= "" then set[#set + 1] = "C"; set[#set + 1] = listed(found[10], ARGV[at + 8]) end
      call("HSET", key(id), unpack(set))
      leave(id, found)
      if found[8] then call("ZREM", EXPIRES, id) end
      move(id, found[3], before, state)
      ended(id, ARGV[at + 3])
      announce(id, ARGV[at + 9], seconds)
      tell(id, found[4], found[5], state, worker)
      answer[#answer + 1] = 1
    end
  end
  return answer
end

-- worker, pid, seconds for the result, id, generation, retries, eta, result, traceback, attempt, children, result for
-- Celery; "": none
function steps.retry(from)
  local worker, id, a = ARGV[from], ARGV[from + 3], {}
  local found = call("HMGET", key(id), "s", "g", "n", "t", "q", "l", "o", "r", "A", "C")
  if not found[1] or OVER[found[1]] or tonumber(found[2] or 0) > tonumber(ARGV[from + 4]) then return 0 end
  leave(id, found)
  call("HDEL", key(id), "d", "b", "P", "R", "T", "e")
  local retries = math.max(tonumber(found[8] or 0), tonumber(ARGV[from + 5]))
  local set = {"s", "RETRY", "r", retries, "w", worker, "p", ARGV[from + 1]}
  for name, place in pairs({e = 6, R = 7, T = 8}) do
    if ARGV[from + place] ~= "" then set[#set + 1] = name; set[#set + 1] = ARGV[from + place] end
  end
  if ARGV[from + 9] ~= "" then set[#set + 1] = "A"; set[#set + 1] = listed(found[9], ARGV[from + 9]) end
  if ARGV[from + 10] ~= "" then set[#set + 1] = "C"; set[#set + 1] = listed(found[10], ARGV[from + 10]) end
  call("HSET", key(id), unpack(set))
  move(id, found[3], found[1], "RETRY")
  announce(id, ARGV[from + 11], ARGV[from + 2])
  tell(id, found[4], found[5], "RETRY", worker)
  return 1
end

-- (id, progress)…
function steps.progress(from, to)
  for at = from, to, 2 do
    local found = call("HMGET", key(ARGV[at]), "s", "t", "q", "w")
    if found[1] and not OVER[found[1]] then
      call("HSET", key(ARGV[at]), "P", ARGV[at + 1])
      announce(ARGV[at], "")
      tell(ARGV[at], found[2], found[3], "PROGRESS", found[4], ARGV[at + 1])
    end
  end
end

-- how many bytes to keep of a task, whether to tell, (id, number, lines)…: the last log lines, `log:ID`, by number. The
-- number stands before the lines, too, so that no piece is another's. Answers for each whether there is such a task
function steps.log(from, to)
  local keep, answer, before = tonumber(ARGV[from]), {}
  for at = from + 2, to, 3 do
    local id = ARGV[at]
    local found, log = call("HMGET", key(id), "t", "q", "w", "s"), P .. "log:" .. id
    answer[#answer + 1] = found[4] and 1 or 0
    if found[4] then
      call("ZADD", log, ARGV[at + 1], ARGV[at + 1] .. " " .. ARGV[at + 2])
      local size = 0
      for place, piece in ipairs(call("ZREVRANGE", log, 0, -1)) do
        size = size + #piece - piece:find(" ", 1, true)
        if size > keep and place > 1 then
          call("ZREMRANGEBYRANK", log, 0, -place)
          break
        end
      end
      if ARGV[from + 1] == "1" and id ~= before then
        announce(id, "")
        tell(id, found[1], found[2], "LOG", found[3])
      end
      before = id
    end
  end
  return answer
end

-- id: answers the pieces of its log, the oldest first, each after its number
function steps.log_of(from) return call("ZRANGE", P .. "log:" .. ARGV[from], 0, -1) end

-- (id, deliveries)…
function steps.charge(from, to)
  for at = from, to, 2 do
    local found = call("HMGET", key(ARGV[at]), "s", "d")
    if found[1] and not OVER[found[1]] and tonumber(ARGV[at + 1]) > tonumber(found[2] or 0) then
      call("HSET", key(ARGV[at]), "d", ARGV[at + 1])
    end
  end
end

-- a run waits again
local function wait(id, found)
  call("HSET", key(id), "s", "PENDING")
  call("HDEL", key(id), "b", "l")
  call("UNLINK", META .. id)
  move(id, found[3], "STARTED", "PENDING")
  announce(id, "")
  tell(id, found[4], found[5], "PENDING", found[6])
end

-- lease, (id, deliveries)…
function steps.put_back(from, to)
  for at = from + 1, to, 2 do
    local id = ARGV[at]
    local found = call("HMGET", key(id), "s", "l", "n", "t", "q", "w")
    if found[1] == "STARTED" and found[2] == ARGV[from] then
      call("SREM", P .. "runs:" .. ARGV[from], id)
      call("HSET", key(id), "d", ARGV[at + 1])
      wait(id, found)
    end
  end
end

-- lease…: their runs are lost
function steps.lose(from, to)
  for at = from, to do
    local runs, order = P .. "runs:" .. ARGV[at], {}
    for _, id in ipairs(call("SMEMBERS", runs)) do
      local found = call("HMGET", key(id), "s", "l", "n", "t", "q", "w", "p", "b", "A")
      if found[1] == "STARTED" and found[2] == ARGV[at] then order[#order + 1] = {tonumber(found[3]), id, found} end
    end
    table.sort(order, function(one, other) return one[1] < other[1] end)
    for _, run in ipairs(order) do
      local id, found = run[2], run[3]
      local number = found[9] and #cjson.decode(found[9]) + 1 or 1
      local lost = format('{"number":%d,"state":"LOST","worker":%s,"pid":%s,"started_at":%s,"finished_at":%.6f}',
        number, cjson.encode(found[6] or ""), found[7] or "0", found[8] or "null", now)
      call("HSET", key(id), "A", listed(found[9], lost))
      wait(id, found)
    end
    call("UNLINK", runs)
  end
end

-- reason, id…: answers the state of each, false for unknown ones
function steps.cancel(from, to)
  local answer = {}
  for at = from + 1, to do
    local found = call("HMGET", key(ARGV[at]), "s", "o")
    if found[1] and not OVER[found[1]] then
      local owed = found[2] or format("%.6f", now)
      call("HSET", key(ARGV[at]), "k", ARGV[from], "o", owed)
      call("ZADD", OWED, owed, ARGV[at])
      announce(ARGV[at], "")
    end
    answer[#answer + 1] = found[1]
  end
  return answer
end

-- seconds for the result, result, (id, result for Celery)…: answers 1 where done, 0 where it does not wait, false for unknown
function steps.revoke(from, to)
  local answer = {}
  for at = from + 2, to, 2 do
    local id = ARGV[at]
    local found = call("HMGET", key(id), "s", "n", "t", "q", "w")
    local waits = WAITING[found[1]]
    if waits then
      local finished = format("%.6f", now)
      call("HSET", key(id), "s", "REVOKED", "R", ARGV[from + 1], "f", finished)
      call("ZREM", OWED, id)
      call("ZREM", EXPIRES, id)
      move(id, found[2], found[1], "REVOKED")
      ended(id, finished)
      announce(id, ARGV[at + 1], ARGV[from])
      tell(id, found[3], found[4], "REVOKED", found[5])
    end
    answer[#answer + 1] = found[1] and (waits and 1 or 0)
  end
  return answer
end

-- id, message, number of fields, (field, value)…: the next generation of an ended task
function steps.reopen(from)
  local id = ARGV[from]
  local found = call("HMGET", key(id), "s", "n", "t", "q", "w")
  call("UNLINK", key(id), META .. id)
  call("HSET", key(id), "n", found[2], unpack(ARGV, from + 3, from + 2 + 2 * tonumber(ARGV[from + 2])))
  call("HSET", key(id), "o", format("%.6f", now))
  call("SET", P .. "message:" .. id, ARGV[from + 1])
  call("ZADD", OWED, format("%.6f", now), id)
  move(id, found[2], found[1], "PENDING")
  announce(id, "")
  tell(id, found[3], found[4], "PENDING", found[5])
end

local function delete(id, state)
  call("UNLINK", key(id), P .. "message:" .. id, P .. "log:" .. id, META .. id)
  call("ZREM", TASKS, id)
  call("ZREM", OWED, id)
  call("ZREM", EXPIRES, id)
  if INDEXED[state] then call("ZREM", P .. "in:" .. state, id) end
  count(state, -1)
end

-- "ended" or "unsent", id…: answers how many were deleted
function steps.delete(from, to)
  local gone = 0
  for at = from + 1, to do
    local found = call("HMGET", key(ARGV[at]), "s", "o")
    local meant = OVER[found[1]]
    if ARGV[from] == "unsent" then meant = found[1] == "PENDING" and found[2] end
    if meant then
      delete(ARGV[at], found[1])
      gone = gone + 1
    end
  end
  return gone
end

-- id…
function steps.confirm(from, to)
  for at = from, to do
    call("ZREM", OWED, ARGV[at])
    call("HDEL", key(ARGV[at]), "o")
  end
end

-- index, up to (seconds from now), limit: answers ids of waiting records, the earliest first
function steps.waiting(from)
  local index, limit, answer, at = P .. ARGV[from], tonumber(ARGV[from + 2]), {}, 0
  local up_to = format("%.6f", now + ARGV[from + 1])
  while #answer < limit and at < 100000 do
    local ids = call("ZRANGEBYSCORE", index, "-inf", up_to, "LIMIT", at, 1000)
    for _, id in ipairs(ids) do
      if #answer < limit and WAITING[call("HGET", key(id), "s")] then answer[#answer + 1] = id end
    end
    if #ids < 1000 then break end
    at = at + 1000
  end
  return answer
end

-- older than (seconds), how many to keep, limit: answers how many were deleted
function steps.prune(from)
  local before, keep, limit = now - ARGV[from], tonumber(ARGV[from + 1]), tonumber(ARGV[from + 2])
  local surplus = -keep
  for state in pairs(OVER) do surplus = surplus + tonumber(call("HGET", COUNTS, state) or 0) end
  local young, gone, offset = now - HOUR, 0, 0
  while gone < limit do
    local entry = call("ZRANGE", ENDED, offset, offset, "WITHSCORES")
    local newest = surplus - gone > 0 and math.max(before, young) or before
    if not entry[1] or tonumber(entry[2]) > newest then break end
    local known, left = {}, {}
    for _, id in ipairs(cmsgpack.unpack(entry[1])) do
      local found = call("HMGET", key(id), "s", "f", "n")
      -- one that was reopened since may stand in two entries
      if OVER[found[1]] and math.floor(tonumber(found[2])) == tonumber(entry[2]) then
        known[#known + 1] = {id, found[1], tonumber(found[2]), tonumber(found[3])}
      end
    end
    table.sort(known, function(one, other)
      if one[3] == other[3] then return one[4] < other[4] end
      return one[3] < other[3]
    end)
    for _, each in ipairs(known) do
      if gone < limit and (each[3] < before or (surplus - gone > 0 and each[3] <= young)) then
        delete(each[1], each[2])
        gone = gone + 1
      else
        left[#left + 1] = each[1]
      end
    end
    call("ZREM", ENDED, entry[1])
    if #left > 0 then
      call("ZADD", ENDED, entry[2], cmsgpack.pack(left))
      if gone < limit then offset = offset + 1 end
    end
  end
  return gone
end

-- index, below which number ("+inf": all), how many to look at, conditions (JSON): answers the number to go on below, or
-- "", then id and number of each that fits
function steps.walk(from)
  local wanted, most = cjson.decode(ARGV[from + 3]), tonumber(ARGV[from + 2])
  local pairs_ = call("ZREVRANGEBYSCORE", P .. ARGV[from], "(" .. ARGV[from + 1], "-inf", "WITHSCORES", "LIMIT", 0, most)
  local answer = {#pairs_ == 2 * most and pairs_[#pairs_] or "", ""}
  local sets = {}
  for number, name in ipairs({"states", "tasks", "queues", "workers"}) do
    if wanted[name] then
      sets[number] = {}
      for _, value in ipairs(wanted[name]) do sets[number][value] = true end
    end
  end
  for at = 1, #pairs_, 2 do
    local found = call("HMGET", key(pairs_[at]), "s", "t", "q", "w", "c", "e", "o")
    local fits = found[1] and true
    if wanted.due_after and not (found[6] and tonumber(found[6]) > wanted.due_after) then fits = false end
    if wanted.due_by and found[6] and tonumber(found[6]) > wanted.due_by then fits = false end
    if wanted.unconfirmed and not found[7] then fits = false end
    for number, set in pairs(sets) do fits = fits and set[found[number] or ""] end
    local created = tonumber(found[5] or 0)
    answer[2] = found[5] or ""
    if fits and not (wanted.since and created < wanted.since) and not (wanted["until"] and created >= wanted["until"]) then
      answer[#answer + 1] = pairs_[at]
      answer[#answer + 1] = pairs_[at + 1]
    end
  end
  return answer
end

-- state…: how many records are in each
function steps.counts(from, to)
  return call("HMGET", COUNTS, unpack(ARGV, from, to))
end

-- after which number ("": the newest line), how many lines: answers where the swept tail ends, then the stream's entries
function steps.feed(from)
  local floor = call("HGET", NUMBERS, "floor") or "0"
  if ARGV[from] == "" then return {floor, unpack(call("XREVRANGE", FEED, "+", "-", "COUNT", 1))} end
  local answer, after, left = {floor}, tonumber(ARGV[from]), tonumber(ARGV[from + 1])
  while left > 0 do
    local entries = call("XRANGE", FEED, format("%d-0", after + 1), "+", "COUNT", 16)
    for _, entry in ipairs(entries) do
      local last = tonumber(entry[1]:sub(1, -3))
      if left > 0 then
        answer[#answer + 1] = entry
        left = left - (last - after)
        after = last
      end
    end
    if #entries < 16 then break end
  end
  return answer
end

-- how many lines at most: answers how many of the tail were swept. The newest stays: it tells where the feed stands
function steps.sweep_feed(from)
  local floor, newest = tonumber(call("HGET", NUMBERS, "floor") or 0), tonumber(call("HGET", NUMBERS, "feed") or 0)
  local limit, gone = tonumber(ARGV[from]), 0
  while gone < limit do
    local entry = call("XRANGE", FEED, "-", "+", "COUNT", 1)[1]
    if not entry or tonumber(entry[2][2]) > now - HOUR then break end
    local last = tonumber(entry[1]:sub(1, -3))
    local upto = math.min(last, newest - 1, floor + limit - gone)
    if upto <= floor and upto < last then break end
    gone, floor = gone + math.max(0, upto - floor), math.max(floor, upto)
    if upto < last then break end
    call("XDEL", FEED, entry[1])
  end
  if gone > 0 then call("HSET", NUMBERS, "floor", format("%d", floor)) end
  return gone
end
