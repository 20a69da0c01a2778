-- Small values with a time to live: `key:NAME`, "until value". Redis forgets them a minute after their time at the latest.
-- Locks: `locks`, name → "until owner". Letters to workers: `mail:WORKER`, a list of "until letter".

local LOCKS, SLACK = P .. "locks", 60

local function parted(text)
  if not text then return nil end
  local at = text:find(" ", 1, true)
  if tonumber(text:sub(1, at - 1)) > now then return text:sub(at + 1) end
end

local function put(name, value, seconds)
  local text = format("%.6f %s", now + seconds, value)
  call("SET", P .. "key:" .. name, text, "PX", math.ceil((tonumber(seconds) + SLACK) * 1000))
end

-- name, value, seconds
function steps.key_put(from) put(ARGV[from], ARGV[from + 1], ARGV[from + 2]) end

-- name
function steps.key_get(from) return parted(call("GET", P .. "key:" .. ARGV[from])) end

-- name, value, seconds: answers what is there already
function steps.key_add(from)
  local found = parted(call("GET", P .. "key:" .. ARGV[from]))
  if not found then put(ARGV[from], ARGV[from + 1], ARGV[from + 2]) end
  return found
end

-- name, old, new, seconds
function steps.key_swap(from)
  if parted(call("GET", P .. "key:" .. ARGV[from])) ~= ARGV[from + 1] then return 0 end
  put(ARGV[from], ARGV[from + 2], ARGV[from + 3])
  return 1
end

-- name
function steps.key_delete(from) call("UNLINK", P .. "key:" .. ARGV[from]) end

-- name, owner, seconds
function steps.lock(from)
  local found = parted(call("HGET", LOCKS, ARGV[from]))
  if found and found ~= ARGV[from + 1] then return 0 end
  call("HSET", LOCKS, ARGV[from], format("%.6f %s", now + ARGV[from + 2], ARGV[from + 1]))
  return 1
end

-- name, owner
function steps.unlock(from)
  if parted(call("HGET", LOCKS, ARGV[from])) == ARGV[from + 1] then call("HDEL", LOCKS, ARGV[from]) end
end

-- how many at most: answers how many were deleted
function steps.sweep_locks(from)
  local gone, limit = 0, tonumber(ARGV[from])
  local all = call("HGETALL", LOCKS)
  for at = 1, #all, 2 do
    if gone < limit and not parted(all[at + 1]) then gone = gone + call("HDEL", LOCKS, all[at]) end
  end
  return gone
end

-- worker, letter, seconds
function steps.send(from)
  local box, life = P .. "mail:" .. ARGV[from], math.ceil((tonumber(ARGV[from + 2]) + SLACK) * 1000)
  call("RPUSH", box, format("%.6f %s", now + ARGV[from + 2], ARGV[from + 1]))
  if call("PTTL", box) < life then call("PEXPIRE", box, life) end
end

-- worker: answers its letters, which are gone then
function steps.take(from)
  local box, letters = P .. "mail:" .. ARGV[from], {}
  for _, text in ipairs(call("LRANGE", box, 0, -1)) do letters[#letters + 1] = parted(text) end
  call("UNLINK", box)
  return letters
end
