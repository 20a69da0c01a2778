-- Messages in kombu's layout: the queue itself and its raised levels are lists (LPUSH, served from the right end), what is
-- claimed stands in `unacked` and `unacked_index`. Beside them, names of our own: lanes for our raised levels, an index of
-- what waits by task, tombstones for what was withdrawn, what is delayed, and how much each lease holds.

-- 9 6 3: our lanes; 0: the queue itself; a b c: kombu's lists, which Celery's producers use. The order of serving.
local LEVELS = {"9", "6", "3", "0", "a", "b", "c"}
local STEP = {a = "3", b = "6", c = "9"}
local HEAD = '^{"properties":{"delivery_tag":"([%w_.:@=~%-]*)"'
local UNACKED, INDEX = K .. "unacked", K .. "unacked_index"
local CHUNK = 1000
local CLOCKS = 60 -- seconds by which the clocks of two publishers may differ

local function list_of(level, queue)
  if level == "0" then return K .. queue end
  if STEP[level] then return K .. queue .. "\6\22" .. STEP[level] end
  return P .. "lane:" .. level .. ":" .. queue
end

-- the tag of a message, if it may be part of a name, and whether it is of ours
local function tag_of(message)
  local ours = message:match(HEAD)
  if ours and #ours < 200 then return ours, true end
  local tag = message:match('"delivery_tag": "(.-)"')
  if tag and (#tag >= 200 or tag:find("[^%w_.:@=~%-]")) then tag = nil end
  return tag or "?" .. redis.sha1hex(message), false
end

-- a command with many values, in as many as it takes; the last one's answer
local function each(command, key, values, group)
  local most, answer = CHUNK * (group or 1), nil
  for from = 1, #values, most do
    answer = call(command, key, unpack(values, from, math.min(from + most - 1, #values)))
  end
  return answer
end

-- Celery's workers take messages without a word to the index of what waits. A list is served in order, so whatever was
-- published before its front has been taken: with every write some tags are looked at, and these forgotten.
local function published(tag)
  local at = tag:find("~", 1, true)
  local moment = at and tonumber(tag:sub(at + 1, at + 12), 16)
  return moment and moment / 1000
end

local function weed(list, length, waiting, count)
  if call("ZCARD", waiting) <= length + 100 then return end
  local front = call("LINDEX", list, -1)
  local tag, ours = tag_of(front)
  local since = ours and published(tag)
  if not since then return end
  local gone = {}
  for _, each in ipairs(call("ZRANDMEMBER", waiting, 2 * count)) do
    local at = published(each)
    if at and at < since - CLOCKS then gone[#gone + 1] = each end
  end
  if #gone > 0 then call("ZREM", waiting, unpack(gone)) end
end

-- put messages into a list, at its end ("LPUSH") or its front ("RPUSH"). Answers whether the list was empty: then the
-- index is forgotten
local function put(command, level, queue, messages)
  if #messages == 0 then return false end
  local list, tags = list_of(level, queue), {}
  local waiting = P .. "waiting:" .. list
  for _, message in ipairs(messages) do
    local tag, ours = tag_of(message)
    if ours then
      tags[#tags + 1] = 0
      tags[#tags + 1] = tag
    end
  end
  local length = each(command, list, messages)
  local first = length == #messages
  if first then call("UNLINK", waiting, P .. "gone:" .. list) end
  each("ZADD", waiting, tags, 2)
  if level == "0" or STEP[level] then weed(list, length, waiting, math.min(#messages, CHUNK)) end
  return first
end

-- make a queue known, to Celery too
local function bind(queue)
  local binding = queue .. "\6\22\6\22" .. queue
  call("SADD", K .. "_kombu.binding." .. queue, binding)
  call("SADD", K .. "_kombu.binding_permanent." .. queue, binding)
end

-- take at most `limit` messages from a list, passing over what was withdrawn. Foreign tags are made unique: whoever
-- gives one tag to several messages must not lose all but one of them
local taken = 0
local function take(level, queue, limit)
  local list = list_of(level, queue)
  local found, tags = {}, {}
  while #found < limit do
    local popped = call("RPOP", list, limit - #found)
    if not popped or #popped == 0 then break end
    local gone = P .. "gone:" .. list
    local graves = call("EXISTS", gone) == 1
    local mine = {}
    for _, message in ipairs(popped) do
      local tag, ours = tag_of(message)
      if not (graves and call("SREM", gone, tag) == 1) then
        if ours then
          mine[#mine + 1] = tag
        else
          taken = taken + 1
          tag = tag .. "#" .. format("%.6f", now) .. "." .. taken
        end
        found[#found + 1] = message
        tags[#tags + 1] = tag
      end
    end
    each("ZREM", P .. "waiting:" .. list, mine)
  end
  return found, tags
end

-- like take, but at most `bytes` in all, save for the first of a batch
local function take_some(level, queue, limit, bytes, first)
  local found, tags, size = {}, {}, 0
  while #found < limit do
    local count = 1
    if #found > 0 then
      local average = size / #found
      count = math.max(1, math.min(limit - #found, 100, math.floor((bytes - size) / average)))
    end
    local messages, names = take(level, queue, count)
    if #messages == 0 then return found, tags, size, false end
    for number, message in ipairs(messages) do
      if size + #message > bytes and not (first and #found == 0) then
        local back = {}
        for rest = #messages, number, -1 do back[#back + 1] = messages[rest] end
        put("RPUSH", level, queue, back)
        return found, tags, size, true
      end
      found[#found + 1] = message
      tags[#tags + 1] = names[number]
      size = size + #message
    end
  end
  return found, tags, size, false
end

local function held(lease, queue, change)
  local field = lease .. "\0" .. queue
  if change ~= 0 and call("HINCRBY", P .. "held", field, change) <= 0 then call("HDEL", P .. "held", field) end
end

local function delay(queue, due, tag, level, message)
  call("ZADD", P .. "delayed:" .. queue, due, tag)
  call("ZADD", P .. "asleep:" .. queue, 0, tag)
  call("HSET", P .. "sleepers:" .. queue, tag, level .. message)
end

local function wake_up(queue, tags)
  local messages = call("HMGET", P .. "sleepers:" .. queue, unpack(tags))
  call("ZREM", P .. "delayed:" .. queue, unpack(tags))
  call("ZREM", P .. "asleep:" .. queue, unpack(tags))
  call("HDEL", P .. "sleepers:" .. queue, unpack(tags))
  return messages
end

local function promote(queue)
  local tags = call("ZRANGEBYSCORE", P .. "delayed:" .. queue, "-inf", format("%.6f", now), "LIMIT", 0, CHUNK)
  if #tags == 0 then return end
  for _, message in ipairs(wake_up(queue, tags)) do
    if message then put("LPUSH", message:sub(1, 1), queue, {message:sub(2)}) end
  end
end

-- queue…
function steps.declare(from, to)
  for at = from, to do
    call("SADD", P .. "queues", ARGV[at])
    bind(ARGV[at])
  end
end

-- queue, level, message…: a list that holds something was bound when the first was put there, by us or by Celery
function steps.publish(from, to)
  local queue, level, messages = ARGV[from], ARGV[from + 1], {}
  for at = from + 2, to do messages[#messages + 1] = ARGV[at] end
  local first = put("LPUSH", level, queue, messages)
  if call("SADD", P .. "queues", queue) == 1 or first then bind(queue) end
end

-- queue, (due, tag, level, message)…
function steps.delay(from, to)
  for at = from + 1, to, 4 do
    if tonumber(ARGV[at]) <= now then
      put("LPUSH", ARGV[at + 2], ARGV[from], {ARGV[at + 3]})
    else
      delay(ARGV[from], ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
    end
  end
end

-- lease, limit, bytes, (queue, what stands after a message in unacked)…: the first queue has the first turn.
-- Answers next due time or "", then for each portion: queue, level, tags, messages
function steps.claim(from, to)
  local lease, left, bytes = ARGV[from], tonumber(ARGV[from + 1]), tonumber(ARGV[from + 2])
  local queues, answer, tick = {}, {""}, 0
  for at = from + 3, to, 2 do
    if call("SISMEMBER", P .. "paused", ARGV[at]) == 0 then
      queues[#queues + 1] = {ARGV[at], ARGV[at + 1]}
      promote(ARGV[at])
    end
  end
  local total, full = 0, false
  for _, level in ipairs(LEVELS) do
    local open = queues
    while left > 0 and #open > 0 and not full do
      local still = {}
      for turn, queue in ipairs(open) do
        local share = math.ceil(left / (#open - turn + 1))
        if share < 1 or full then break end
        local messages, tags, size, stop = take_some(level, queue[1], share, bytes - total, total == 0)
        full = full or stop
        if #messages == share and not stop then still[#still + 1] = queue end
        if #messages > 0 then
          local entries, scores = {}, {}
          for number, message in ipairs(messages) do
            local field = "penstock|" .. lease .. "|" .. level .. "|" .. tags[number]
            local stop = tags[number]:find("~", 1, true)
            claimed[#claimed + 1] = stop and tags[number]:sub(1, stop - 1) or false
            tick = tick + 1
            entries[#entries + 1] = field
            entries[#entries + 1] = "[" .. message .. queue[2]
            scores[#scores + 1] = format("%.6f", now + tick / 1000000)
            scores[#scores + 1] = field
          end
          each("HSET", UNACKED, entries, 2)
          each("ZADD", INDEX, scores, 2)
          held(lease, queue[1], #messages)
          call("SADD", P .. "queues", queue[1])
          total, left = total + size, left - #messages
          answer[#answer + 1] = {queue[1], level, tags, messages}
        end
      end
      open = still
    end
  end
  if #answer == 1 then
    local due
    for _, queue in ipairs(queues) do
      local first = call("ZRANGE", P .. "delayed:" .. queue[1], 0, 0, "WITHSCORES")
      if first[2] and (not due or tonumber(first[2]) < due) then due = tonumber(first[2]) end
    end
    answer[1] = due and format("%.6f", due) or ""
  end
  return answer
end

-- lease, queue, field…
function steps.settle(from, to)
  local gone = call("HDEL", UNACKED, unpack(ARGV, from + 2, to))
  call("ZREM", INDEX, unpack(ARGV, from + 2, to))
  held(ARGV[from], ARGV[from + 1], -gone)
end

-- lease, queue, length of what stands after a message, due or "", (level, field, tag)…: latest claimed first
function steps.hand_back(from, to)
  local queue, tail, due = ARGV[from + 1], tonumber(ARGV[from + 2]), ARGV[from + 3]
  for at = from + 4, to, 3 do
    local entry = call("HGET", UNACKED, ARGV[at + 1])
    if entry then
      call("HDEL", UNACKED, ARGV[at + 1])
      call("ZREM", INDEX, ARGV[at + 1])
      held(ARGV[from], queue, -1)
      local message = entry:sub(2, -1 - tail)
      if due == "" then
        put("RPUSH", ARGV[at], queue, {message})
      else
        delay(queue, due, ARGV[at + 2], ARGV[at], message)
      end
    end
  end
end

-- (lease, queue, level, field, message)…: latest claimed first. Answers which were still claimed
function steps.release(from, to)
  local answer = {}
  for at = from, to, 5 do
    local there = call("HDEL", UNACKED, ARGV[at + 3])
    call("ZREM", INDEX, ARGV[at + 3])
    if there == 1 then
      held(ARGV[at], ARGV[at + 1], -1)
      put("RPUSH", ARGV[at + 2], ARGV[at + 1], {ARGV[at + 4]})
    end
    answer[#answer + 1] = there
  end
  return answer
end

-- what all tags of a task begin with. Answers how many waited
function steps.withdraw(from)
  local low, high, removed = "[" .. ARGV[from] .. "~", "(" .. ARGV[from] .. "\127", 0
  for _, queue in ipairs(call("SMEMBERS", P .. "queues")) do
    for _, level in ipairs(LEVELS) do
      local list = list_of(level, queue)
      local tags = call("ZRANGEBYLEX", P .. "waiting:" .. list, low, high)
      if #tags > 0 then
        call("ZREM", P .. "waiting:" .. list, unpack(tags))
        call("SADD", P .. "gone:" .. list, unpack(tags))
        removed = removed + #tags
      end
    end
    local tags = call("ZRANGEBYLEX", P .. "asleep:" .. queue, low, high)
    if #tags > 0 then
      wake_up(queue, tags)
      removed = removed + #tags
    end
  end
  return removed
end

-- Answers for each queue that exists: name, ready, delayed, paused, the messages at the front of its lists, and of our
-- lanes that hold something (key, how much…)
function steps.depth()
  local answer = {}
  for _, queue in ipairs(call("SUNION", P .. "queues", P .. "paused")) do
    local ready, fronts, lanes = 0, {}, {}
    for _, level in ipairs(LEVELS) do
      local list = list_of(level, queue)
      local length = call("LLEN", list)
      if length > 0 then
        local front = call("LINDEX", list, -1)
        local tag = tag_of(front)
        local here = math.max(0, length - call("SCARD", P .. "gone:" .. list))
        ready = ready + here
        if here > 0 and tonumber(level) and level ~= "0" then
          lanes[#lanes + 1] = list
          lanes[#lanes + 1] = here
        end
        if call("SISMEMBER", P .. "gone:" .. list, tag) == 0 then fronts[#fronts + 1] = tag end
      end
    end
    local delayed, paused = call("ZCARD", P .. "delayed:" .. queue), call("SISMEMBER", P .. "paused", queue)
    answer[#answer + 1] = {queue, ready, delayed, paused, fronts, lanes}
  end
  return {answer, call("HGETALL", P .. "held")}
end

-- queue, limit. Answers the messages
function steps.purge(from)
  local queue, limit, found = ARGV[from], tonumber(ARGV[from + 1]), {}
  for _, level in ipairs(LEVELS) do
    if #found < limit then
      for _, message in ipairs((take(level, queue, limit - #found))) do found[#found + 1] = message end
    end
  end
  if #found < limit then
    local tags = call("ZRANGE", P .. "delayed:" .. queue, 0, math.min(limit - #found, CHUNK) - 1)
    if #tags > 0 then
      for _, message in ipairs(wake_up(queue, tags)) do found[#found + 1] = message:sub(2) end
    end
  end
  return found
end

-- seconds, lease…: what these have claimed is not to be restored by Celery: what was entered longer ago is entered anew
function steps.keep(from, to)
  local mine, before, at = {}, format("%.6f", now - ARGV[from]), 0
  for lease = from + 1, to do mine[ARGV[lease]] = true end
  while true do
    local fields, scores = call("ZRANGEBYSCORE", INDEX, "-inf", before, "LIMIT", at, CHUNK), {}
    for number, field in ipairs(fields) do
      local stop = field:sub(1, 9) == "penstock|" and field:find("|", 10, true)
      if stop and mine[field:sub(10, stop - 1)] then
        scores[#scores + 1] = format("%.6f", now + number / 1000000)
        scores[#scores + 1] = field
      end
    end
    each("ZADD", INDEX, scores, 2)
    if #fields < CHUNK then return end
    at = at + CHUNK - #scores / 2 -- those that were entered anew stand there no more
  end
end
