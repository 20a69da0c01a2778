-- What every commit's script is made of (script.py): guards first, then what is to be done; nothing is done if one refuses.
-- ARGV: the time by the caller's clock ("": the server's own decides), number of guards, guards, number of steps, steps.
-- A guard or step: name, number of arguments, arguments. Parts (brokers, results) have the functions that stand in the
-- tables below; what they put into `finals` is called at the end.
-- K (what stands before every key) and C (before every channel) are set in front of this text.
-- Answer: {0, answers…}, or {number of the guard that refused, what it says about it}.

local P = K .. "penstock:"
local call, unpack, format = redis.call, unpack, string.format
local guards, steps, finals = {}, {}, {}
local now
local claimed = {} -- ids of the tasks that this call has claimed, false where a tag does not tell

-- (key, field or "", "1" value | "0" "")…: each is what its reader saw
function guards.same(from, to)
  for at = from, to, 4 do
    local value
    if ARGV[at + 1] == "" then
      value = call("GET", ARGV[at])
    else
      value = call("HGET", ARGV[at], ARGV[at + 1])
    end
    if ARGV[at + 2] == "1" then
      if value ~= ARGV[at + 3] then return false end
    elseif value then
      return false
    end
  end
  return true
end

-- a command as it stands
function steps.call(from, to)
  call(unpack(ARGV, from, to))
end

-- a command as it stands, with its answer
function steps.ask(from, to)
  return call(unpack(ARGV, from, to))
end

--PARTS--

local time = call("TIME")
now = tonumber(ARGV[1]) or time[1] + time[2] / 1000000
local at = 3
for number = 1, ARGV[2] do
  local count = tonumber(ARGV[at + 1])
  local holds, why = guards[ARGV[at]](at + 2, at + 1 + count)
  if not holds then return {number, why} end
  at = at + 2 + count
end
local answers = {0}
local last = tonumber(ARGV[at])
at = at + 1
for number = 1, last do
  local count = tonumber(ARGV[at + 1])
  answers[number + 1] = steps[ARGV[at]](at + 2, at + 1 + count) or false
  at = at + 2 + count
end
for _, final in ipairs(finals) do final() end
return answers
