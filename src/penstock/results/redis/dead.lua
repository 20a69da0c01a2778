-- Dead letters: `dead` (by the order of coming), `letters` (id → letter), `kinds` (id → JSON of queue and reason),
-- `letters:TASK` (ids).

local DEAD, LETTERS, KINDS = P .. "dead", P .. "letters", P .. "kinds"

local function of(task) return P .. "letters:" .. task end

-- (id, task id, kind, letter)…
function steps.bury(from, to)
  for at = from, to, 4 do
    if call("HSETNX", LETTERS, ARGV[at], ARGV[at + 3]) == 1 then
      call("HSET", KINDS, ARGV[at], ARGV[at + 2])
      call("ZADD", DEAD, call("HINCRBY", P .. "numbers", "letter", 1), ARGV[at])
      if ARGV[at + 1] ~= "" then call("SADD", of(ARGV[at + 1]), ARGV[at]) end
    end
  end
end

-- id…
function steps.letters(from, to) return call("HMGET", LETTERS, unpack(ARGV, from, to)) end

-- below which number, how many: answers ids with their numbers, and their kinds
function steps.letters_page(from)
  local found = call("ZREVRANGEBYSCORE", DEAD, "(" .. ARGV[from], "-inf", "WITHSCORES", "LIMIT", 0, ARGV[from + 1])
  local ids = {}
  for at = 1, #found, 2 do ids[#ids + 1] = found[at] end
  return {found, #ids > 0 and call("HMGET", KINDS, unpack(ids)) or {}}
end

-- task id: answers its letters, the newest first
function steps.letters_of(from)
  local ids, order = call("SMEMBERS", of(ARGV[from])), {}
  for _, id in ipairs(ids) do order[#order + 1] = {tonumber(call("ZSCORE", DEAD, id)), id} end
  table.sort(order, function(one, other) return one[1] > other[1] end)
  local found = {}
  for _, each in ipairs(order) do found[#found + 1] = call("HGET", LETTERS, each[2]) end
  return found
end

-- (id, task id)…: answers how many were there
function steps.letters_discard(from, to)
  local gone = 0
  for at = from, to, 2 do
    gone = gone + call("HDEL", LETTERS, ARGV[at])
    call("HDEL", KINDS, ARGV[at])
    call("ZREM", DEAD, ARGV[at])
    call("SREM", of(ARGV[at + 1]), ARGV[at])
  end
  return gone
end
