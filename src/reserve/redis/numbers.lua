-- Whole numbers. Lua's own are doubles, exact up to 53 bits; money, and products of tokens and nanoseconds, have up to 128. So a number is
-- six limbs of 24 bits, the lowest first, and 18 bytes where it is stored or sent.
local LIMBS, BASE = 6, 16777216
local FORMAT = '<I3I3I3I3I3I3'

local function number(bytes, index)
  return {struct.unpack(FORMAT, bytes, index * 18 + 1)}
end

local function pack(n)
  return struct.pack(FORMAT, n[1], n[2], n[3], n[4], n[5], n[6])
end

local function is_zero(n)
  return n[1] == 0 and n[2] == 0 and n[3] == 0 and n[4] == 0 and n[5] == 0 and n[6] == 0
end

local function less(a, b)
  for i = LIMBS, 1, -1 do
    if a[i] ~= b[i] then
      return a[i] < b[i]
    end
  end
  return false
end

local function plus(a, b)
  local sum, carry = {}, 0
  for i = 1, LIMBS do
    local limb = a[i] + b[i] + carry
    carry = limb >= BASE and 1 or 0
    sum[i] = limb - carry * BASE
  end
  return sum
end

-- Zero where b is more than a.
local function minus(a, b)
  local difference, borrow = {}, 0
  for i = 1, LIMBS do
    local limb = a[i] - b[i] - borrow
    borrow = limb < 0 and 1 or 0
    difference[i] = limb + borrow * BASE
  end
  return borrow == 0 and difference or {0, 0, 0, 0, 0, 0}
end
