-- The arithmetic of Bucket.

-- The factor is a Lua number.
local function times(a, factor)
  local product, shift = {0, 0, 0, 0, 0, 0}, 0
  while factor > 0 do
    local by, carry = factor % BASE, 0
    factor = (factor - by) / BASE
    for i = 1, LIMBS - shift do
      local sum = product[i + shift] + a[i] * by + carry
      product[i + shift] = sum % BASE
      carry = (sum - product[i + shift]) / BASE
    end
    shift = shift + 1
  end
  return product
end

local function remainder(a, divisor)
  local steps, step = {}, divisor
  while not less(a, step) do
    steps[#steps + 1] = step
    step = plus(step, step)
  end
  for i = #steps, 1, -1 do
    if not less(a, steps[i]) then
      a = minus(a, steps[i])
    end
  end
  return a
end

-- A double near it.
local function about(n)
  local sum = 0
  for i = LIMBS, 1, -1 do
    sum = sum * BASE + n[i]
  end
  return sum
end

local time = redis.call('TIME')
-- Microseconds.
local now = time[1] * 1000000 + time[2]

-- An account is a hash. Of each limit it has the backlog, and when it was that: 8 bytes and 18.
local fields = {}
for i = 1, #ARGV / 2 do
  fields[i] = ARGV[2 * i - 1]
end
local states = redis.call('HMGET', KEYS[1], unpack(fields))

-- What is used of the limit at i and has not flowed back, at a rate per microsecond.
local function backlog(i, rate)
  local state = states[i]
  if not state then
    return {0, 0, 0, 0, 0, 0}
  end
  local at = struct.unpack('<I8', state)
  local used = number(string.sub(state, 9), 0)
  if now <= at then
    -- A server that took over, with a clock that is behind.
    return used
  end
  return minus(used, times(rate, now - at))
end

local changes, full_in = {}, 0

local function set(i, used, rate)
  changes[#changes + 1] = fields[i]
  changes[#changes + 1] = struct.pack('<I8', now) .. pack(used)
  full_in = math.max(full_in, about(used) / about(rate))
end

-- Forgotten as soon as all its buckets are full; never sooner than what a quota with other limits has asked for.
local function keep()
  if #changes == 0 then
    return
  end
  redis.call('HSET', KEYS[1], unpack(changes))
  local millis = math.min(math.ceil(full_in / 1000) + 1000, 1000000000000)
  if redis.call('PTTL', KEYS[1]) < millis then
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', millis))
  end
end
