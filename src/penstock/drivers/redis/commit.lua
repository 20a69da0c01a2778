-- The one script: guards first, then what is to be done; nothing is done if one guard refuses.
-- ARGV: seconds that the caller's clock is ahead, number of guards, guards, number of steps, steps.
-- A guard or step: name, number of arguments, arguments. Parts (brokers, results) add functions to the tables below.
-- K (what stands before every key) and C (before every channel) are set in front of this text.
-- Answer: {0, answers…}, or {number of the guard that refused}.

local P = K .. "penstock:"
local call, unpack, format = redis.call, unpack, string.format
local guards, steps = {}, {}
local now

-- key…: none of them is there
function guards.absent(from, to)
  return call("EXISTS", unpack(ARGV, from, to)) == 0
end

-- key…: all of them are there (each is named once)
function guards.present(from, to)
  return call("EXISTS", unpack(ARGV, from, to)) == to - from + 1
end

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
now = time[1] + time[2] / 1000000 + ARGV[1]
local at = 3
for number = 1, ARGV[2] do
  local count = tonumber(ARGV[at + 1])
  if not guards[ARGV[at]](at + 2, at + 1 + count) then return {number} end
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
return answers
