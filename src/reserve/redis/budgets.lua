-- An account of a budget in one window is a hash: what was spent (s), how often that has no price (u), and what is reserved, by when that was
-- (r and a number of SLOTs). What a replica reserved that is gone lapses after LEASE slots.
local SLOT, LEASE = 300, 12
local NONE = {0, 0, 0, 0, 0, 0}

local now = redis.call('TIME')[1]
local slot = math.floor(now / SLOT)

local function read(key)
  local account = {spent = NONE, unpriced = 0, reserved = NONE, slots = {}}
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    local name, value = fields[i], fields[i + 1]
    local at = tonumber(string.sub(name, 2))
    if name == 's' then
      account.spent = number(value, 0)
    elseif name == 'u' then
      account.unpriced = tonumber(value)
    elseif at < slot - LEASE then
      redis.call('HDEL', key, name)
    else
      account.slots[at] = number(value, 0)
      account.reserved = plus(account.reserved, account.slots[at])
    end
  end
  return account
end

local function reserve(key, account, at, amount)
  local name = string.format('r%.0f', at)
  if is_zero(amount) then
    redis.call('HDEL', key, name)
  else
    redis.call('HSET', key, name, pack(amount))
  end
end

-- It goes with its window, at `ends` (milliseconds), or stays for ever where that is 0; and what holds only reservations goes with these.
local function keep(key, account, ends)
  if is_zero(account.spent) and account.unpriced == 0 then
    redis.call('PEXPIRE', key, (LEASE + 1) * SLOT * 1000)
  elseif ends == 0 then
    redis.call('PERSIST', key)
  else
    redis.call('PEXPIREAT', key, string.format('%.0f', ends + (LEASE + 1) * SLOT * 1000))
  end
end

local function shown(account)
  return pack(account.spent) .. pack(account.reserved) .. struct.pack('<I8', account.unpriced)
end
