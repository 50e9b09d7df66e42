-- Of each limit: its field, and its rate, what its burst holds, and what is asked for. Answers whether it was all taken, and the backlogs.
local is_there, levels, asked = true, {}, {}
for i = 1, #fields do
  local rate, burst, ask = number(ARGV[2 * i], 0), number(ARGV[2 * i], 1), number(ARGV[2 * i], 2)
  local used = backlog(i, rate)
  levels[i] = used
  if not is_zero(ask) then
    local after = plus(used, ask)
    is_there = is_there and not less(burst, after)
    asked[i] = {after, rate}
  end
end
if is_there then
  for i, ask in pairs(asked) do
    levels[i] = ask[1]
    set(i, ask[1], ask[2])
  end
  keep()
end
local answer = {is_there and '1' or '0'}
for i = 1, #fields do
  answer[i + 1] = pack(levels[i])
end
return table.concat(answer)
