"use strict";
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

// A node, not yet in the page. Text is text: nothing that is shown is ever read as HTML.
function make(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}
const h = (tag, attributes, ...children) => make(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => make(document.createElementNS(SVG, tag), attributes, children);

// Makes `to` like `from` by changing only what differs: focus, selections and open menus stay.
function patch(to, from) {
  for (const { name } of [...to.attributes]) {
    if (!from.hasAttribute(name) && !(to.tagName === "DETAILS" && name === "open")) to.removeAttribute(name);
  }
  for (const { name, value } of from.attributes) if (to.getAttribute(name) !== value) to.setAttribute(name, value);
  patchChildren(to, [...from.childNodes]);
}
function patchChildren(to, wanted) {
  wanted.forEach((want, at) => {
    const have = to.childNodes[at];
    if (!have) to.append(want);
    else if (have.nodeType !== want.nodeType || have.nodeName !== want.nodeName) have.replaceWith(want);
    else if (want.nodeType === Node.TEXT_NODE) { if (have.data !== want.data) have.data = want.data; }
    else patch(have, want);
  });
  while (to.childNodes.length > wanted.length) to.lastChild.remove();
}
const show = (id, ...children) => {
  const holder = h("div", null, ...children);
  patchChildren($(id), [...holder.childNodes]);
};

const whole = new Intl.NumberFormat("en-US");
const known = (value) => value !== null && value !== undefined;
const num = (value) => (known(value) ? whole.format(value) : "–");
const pct = (share, digits = 1) => (known(share) ? `${(share * 100).toFixed(digits)} %` : "–");
const ms = (value) => {
  if (!known(value)) return "–";
  if (value < 10) return `${value.toFixed(1)} ms`;
  return value < 1000 ? `${Math.round(value)} ms` : value < 100000 ? `${(value / 1000).toFixed(2)} s` : `${Math.round(value / 1000)} s`;
};
// To show; the exact sum is the title.
const usd = (text) => {
  const value = Number(text);
  const size = Math.abs(value);
  const digits = size === 0 || size >= 10 ? 2 : size >= 0.1 ? 3 : size >= 0.001 ? 5 : 8;
  return value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: digits });
};
const money = (text) => h("span", { title: `${text} USD` }, usd(text));
// Short names stay on one line; long ones break where they must.
const title = (text) => (text.length > 22 ? text : h("span", { class: "nb" }, text));
const clock = (at) => new Date(at).toLocaleTimeString("en-GB");
const span = (seconds) => {
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min` : `${Math.floor(seconds)} s`;
};
const sum = (counts) => Object.values(counts).reduce((all, count) => all + count, 0);
const count = (value) => h("span", { class: value ? null : "zero" }, num(value));
const entries = (object) => Object.entries(object || {});

function table(caption, heads, rows, kind) {
  return h("table", { class: kind || "stack" },
    caption && h("caption", null, caption),
    h("thead", null, h("tr", null, heads.map(([head, number]) => h("th", { scope: "col", class: number && "n" }, head)))),
    h("tbody", null, rows));
}
// A row: the first cell names it, the others carry their heads for narrow screens.
function row(heads, cells, kind) {
  return h("tr", { class: kind }, cells.map((cell, at) => {
    const [head, number, wide] = heads[at];
    if (at === 0) return h("th", { scope: "row" }, cell);
    return h("td", { class: wide ? "wide" : number && "n", "data-l": head }, cell);
  }));
}
const bar = (share, label) => s("svg", { class: "bar", role: "img", "aria-label": label },
  s("rect", { class: "track", width: "100%", height: "100%" }),
  s("rect", { class: share >= 1 ? "high" : "fill", width: `${Math.min(Math.max(share, 0), 1) * 100}%`, height: "100%" }));

const STATES = {
  closed: ["good", "●", "in service"], slow_start: ["warn", "◔", "slow start"], half_open: ["warn", "◐", "half-open"], open: ["bad", "○", "open"],
  forced_open: ["bad", "○", "forced open"], forced_closed: ["warn", "◉", "forced closed"],
};
function state(name) {
  const [kind, glyph, word] = STATES[name] || ["", "·", name || "no breaker"];
  return h("span", { class: `mark ${kind}` }, h("b", { "aria-hidden": "true" }, glyph), word);
}
const button = (words, path, given, kind, sure, label) => h("button", {
  type: "button", class: kind, "aria-label": label, "data-path": path, "data-with": JSON.stringify(given || {}), "data-sure": sure, "data-words": words,
}, words);
const path = (...parts) => parts.map(encodeURIComponent).join("/");

let last = null;
let held = false;
const history = [];

function figures(status) {
  const { since_start: all, recent, in_flight, total, first_token } = status.traffic.requests;
  const seconds = status.traffic.window_ms / 1000;
  const figure = (id, label, big, unit, sub) => h("dl", { class: "figure" }, h("dt", null, label),
    h("dd", { class: "big", id }, big, unit && h("i", null, unit)), h("dd", { class: "sub" }, sub));
  const cells = [
    figure("f-requests", "Requests", num(all.total), null, `${(recent.total / seconds).toFixed(1)} a second, ${num(in_flight)} in flight`),
    figure("f-success", "Answered", pct(recent.success_rate), null, `${num(recent.failed)} failed, ${num(recent.rejected)} refused of late`),
    figure("f-p95", "Latency p95", ms(total.p95_ms), null, `p50 ${ms(total.p50_ms)}, p99 ${ms(total.p99_ms)}`),
    figure("f-ttft", "First token p50", ms(first_token.p50_ms), null, `p95 ${ms(first_token.p95_ms)}`),
  ];
  if (status.spend) {
    const { today, total: spent, days } = status.spend;
    const saving = chosenSaving(status);
    cells.push(figure("f-today", "Spent today", money(today.cost_usd), "USD", `${usd(spent.cost_usd)} in ${days.length === 1 ? "one day" : `${days.length} days`}`));
    cells.push(figure("f-saved", "Saved", saving ? money(saving.saved_usd) : "–", saving && "USD",
      saving ? `${known(saving.saved_percent) ? `${saving.saved_percent.toFixed(1)} % ` : ""}against ${saving.baseline}` : "no price to compare with"));
  }
  show("figures", cells);
}

function chosenSaving(status) {
  const savings = status.spend?.savings || [];
  const chosen = localStorage.getItem("baseline");
  const dearest = [...savings].sort((a, b) => Number(b.would_cost_usd) - Number(a.would_cost_usd))[0];
  return savings.find((saving) => saving.baseline === chosen) || dearest;
}

function alerts(status) {
  const all = entries(status.controls.alerts);
  const firing = all.flatMap(([, alert]) => alert.firing);
  document.title = firing.length ? `▲ ${firing.length} · tower-relay` : "tower-relay";
  if (firing.length) {
    const of = { error_rate: (v) => pct(v), budget: (v) => pct(v, 0), p95: ms, p99: ms, breaker: () => "open" };
    show("alerts", h("div", { class: "alert" }, h("strong", null, `▲ ${firing.length === 1 ? "One alert" : `${firing.length} alerts`}`),
      h("ul", null, firing.map((alert) => h("li", null,
        `${alert.subject}: ${alert.rule.replaceAll("_", " ")} ${(of[alert.rule] || num)(alert.value)}, for ${span(alert.for_seconds)}`)))));
  } else {
    const words = !all.length ? null : all.some(([, alert]) => alert.enabled) ? "No alerts." : "Alerts are switched off.";
    show("alerts", words && h("p", { class: "quiet" }, words));
  }
}

function pace() {
  const points = history.slice(-301);
  const most = Math.max(1, ...points.map((point) => point.all));
  const x = (at) => (300 - (points.length - 1 - at)) / 3;
  const y = (value) => 100 - (value / most) * 92;
  const line = (of) => points.map((point, at) => `${at ? "L" : "M"}${x(at).toFixed(2)} ${y(of(point)).toFixed(2)}`).join("");
  const all = line((point) => point.all);
  const now = points.at(-1);
  if (points.length < 2) return show("pace", h("p", { class: "note" }, "Drawn as it comes, for the last five minutes."));
  const words = `${now.all.toFixed(1)} now, ${now.failed.toFixed(1)} of them failed or refused; at most ${most.toFixed(1)} within five minutes`;
  show("pace", s("svg", { class: "pace", viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img", "aria-label": words },
    s("path", { class: "area", d: `${all}L100 100L${x(0).toFixed(2)} 100Z` }), s("path", { class: "base", d: "M0 100H100" }),
    s("path", { class: "all", d: all }), s("path", { class: "failed", d: line((point) => point.failed) })),
  h("p", { class: "note" }, `— all ${now.all.toFixed(1)} · ┄ failed or refused ${now.failed.toFixed(1)} · highest within five minutes ${most.toFixed(1)}`));
}

function upstreams(status) {
  const heads = [["Upstream"], ["State", 0, 1], ["Attempts", 1], ["Failed", 1], ["Limited", 1], ["p50", 1], ["p95", 1], ["p99", 1], ["First token", 1]];
  const cells = (one) => [
    count(sum(one.outcomes)), one.outcomes.failure ? h("span", { class: "bad" }, `${num(one.outcomes.failure)} (${pct(known(one.success_rate) ? 1 - one.success_rate : null)})`) : count(0),
    count(one.outcomes.rate_limited), ms(one.total.p50_ms), ms(one.total.p95_ms), ms(one.total.p99_ms), ms(one.first_token.p50_ms),
  ];
  const rows = status.traffic.upstreams.map((one) => {
    const breaker = status.controls.breakers?.[one.upstream];
    const force = (action, words) => button(words, path("breakers", one.upstream, action), {}, null,
      action === "open" ? `No request is sent to ${one.upstream} until its breaker is reset.` : null);
    const menu = breaker && h("details", null, h("summary", null, "Force"),
      h("span", { class: "buttons" }, force("open", "Open"), force("close", "Close"), force("reset", "Reset")));
    const models = status.traffic.series.filter((series) => series.upstream === one.upstream)
      .map((series) => row(heads, [series.model, "", ...cells(series)], "model"));
    return [row(heads, [one.upstream, [state(breaker?.state || one.breaker), menu], ...cells(one)], "up"), models];
  });
  show("upstreams", rows.length ? table(null, heads, rows) : h("p", { class: "note" }, "No upstream has been asked yet."));
  $("window").textContent = status.traffic.window_ms === 60000 ? "minute" : span(status.traffic.window_ms / 1000);
}

const ROLLOUT = { active: ["good", "▶"], paused: ["warn", "❙❙"], rolling_back: ["bad", "◀"], rolled_back: ["bad", "◀"], complete: ["good", "✓"] };
function rollouts(status) {
  const all = entries(status.controls.rollouts);
  $("s-rollouts").hidden = !all.length;
  show("rollouts", all.map(([name, rollout]) => {
    const [kind, glyph] = ROLLOUT[rollout.state] || ["", "·"];
    const whole = Math.max(1, rollout.targets.reduce((all, target) => all + target.weight, 0));
    let from = 0;
    const shares = rollout.targets.map((target, at) => {
      const share = target.weight / whole;
      const rect = s("rect", { class: `t${at % 4} edge`, x: `${from * 100}%`, width: `${share * 100}%`, height: "100%" });
      from += share;
      return { target, share, rect };
    });
    const heads = [["Target"], ["Share", 1], ["Attempts", 1], ["Errors", 1], ["p95", 1], ["Above its limit"]];
    const rows = shares.map(({ target, share }) => row(heads, [target.name, pct(share, 0), num(target.requests), pct(target.error_rate, 2), ms(target.p95_ms),
      target.over.length ? h("span", { class: "bad" }, `▲ ${target.over.join(", ").replaceAll("_", " ")}`) : "no"]));
    const runs = rollout.state === "active" || rollout.state === "rolling_back";
    const back = rollout.state === "rolled_back";
    return h("article", { class: "card", "aria-label": `Rollout ${name}` },
      h("div", { class: "head" }, h("h3", null, name), h("span", { class: `mark ${kind}`, id: `state-${name}` }, h("b", { "aria-hidden": "true" }, glyph), rollout.state.replaceAll("_", " "))),
      h("p", { class: "where" }, `Stage ${rollout.stage} of ${rollout.stages}, ${span(rollout.elapsed_seconds)} of at least ${span(rollout.stage_seconds)}; each target needs ${num(rollout.minimum_requests)} attempts.`,
        rollout.forced && h("span", { class: "bad" }, ` ▲ All requests are forced to ${rollout.forced}.`)),
      s("svg", { class: "share", role: "img", "aria-label": shares.map(({ target, share }) => `${target.name} ${pct(share, 0)}`).join(", ") }, shares.map(({ rect }) => rect)),
      h("p", { class: "key" }, shares.map(({ target, share }, at) => h("span", { class: `k${at % 4}` }, h("i", { "aria-hidden": "true" }, "■"), `${target.name} ${pct(share, 0)}`))),
      table(null, heads, rows),
      h("p", { class: "buttons" },
        runs ? button("Pause", path("rollouts", name, "pause")) : button(back ? "Begin again" : "Resume", path("rollouts", name, "resume"), {}, null, back ? `${name} begins again at its first stage.` : null),
        !back && button("Roll back now", path("rollouts", name, "rollback"), {}, "danger", `${rollout.targets[0].name} gets all requests of ${name} at once.`),
        !back && rollout.state !== "rolling_back" && button("Roll back gradually", path("rollouts", name, "rollback"), { gradually: true }, null, `The others keep 25 %, then 5 %, and then nothing of the requests of ${name}.`)));
  }));
}

function pools(status) {
  const balances = entries(status.controls.balances);
  const hedges = entries(status.controls.hedges);
  $("s-pools").hidden = !balances.length && !hedges.length;
  const members = [["Member"], ["State", 0, 1], ["Share", 1], ["In flight", 1], ["Requests", 1], ["First token", 1], ["Health", 1]];
  const races = [["Route"], ["State", 0, 1], ["Waits", 1], ["Second attempts", 1], ["Won", 1], ["After a failure", 1], ["Not made", 1]];
  const mark = (good, words) => h("span", { class: `mark ${good ? "good" : "warn"}` }, h("b", { "aria-hidden": "true" }, good ? "●" : "○"), words);
  show("pools",
    balances.map(([name, balance]) => table(`${name}, balanced`, members, balance.members.map((one) => {
      const [words, action] = one.drained ? ["Put back", "restore"] : ["Take out", "drain"];
      const sure = one.drained ? null : `${name} gives ${one.name} no more requests, as long as it has others, until it is put back.`;
      return row(members, [one.name,
        [mark(!one.drained, one.drained ? "taken out" : "in service"), " ", button(words, path("balances", name, action), { target: one.name }, null, sure, `${words} ${one.name} of ${name}`)],
        pct(one.share, 0), num(one.in_flight), num(one.requests), ms(known(one.first_token_seconds) ? one.first_token_seconds * 1000 : null), pct(one.health, 0)]);
    }))),
    hedges.length > 0 && table("Hedged", races, hedges.map(([name, hedge]) => row(races, [name,
      [mark(hedge.enabled, hedge.enabled ? "on" : "off"), " ", hedge.enabled
        ? button("Switch off", path("hedges", name, "disable"), {}, null, `No second attempts are made in ${name} until it is switched on.`, `Switch off ${name}`)
        : button("Switch on", path("hedges", name, "enable"), {}, null, null, `Switch on ${name}`)],
      known(hedge.delay_seconds) ? ms(hedge.delay_seconds * 1000) : "by percentile", num(hedge.hedged), num(hedge.won), num(hedge.saved),
      num(hedge.unpaid + hedge.busy + hedge.nowhere)]))));
}

const size = (bytes) => (!known(bytes) ? "–" : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
function caches(status) {
  const all = entries(status.controls.caches);
  $("s-caches").hidden = !all.length;
  const heads = [["Cache"], ["", 0, 1], ["Answers", 1], ["Size", 1], ["Found", 1], ["Shared", 1], ["Not found", 1], ["Saved, USD", 1]];
  show("caches", table(null, heads, all.map(([name, cache]) => row(heads, [name,
    button("Purge", path("caches", name, "purge"), {}, "danger", `All that is kept in ${name} is forgotten, and asked for again.`, `Purge ${name}`),
    num(cache.answers), size(cache.bytes), num(cache.hits + cache.stale), num(cache.shared), num(cache.misses), money(cache.saved_usd)]))));
}

function spend(status) {
  const all = status.spend;
  $("s-spend").hidden = !all;
  if (!all) return;
  const most = Math.max(1e-12, ...all.days.map((day) => Number(day.cost_usd)));
  const days = [["Day"], ["", 0, 1], ["Requests", 1], ["USD", 1]];
  const groups = (name) => [[name], ["Requests", 1], ["Tokens in", 1], ["Tokens out", 1], ["USD", 1]];
  const of = (name, list) => {
    const heads = groups(name);
    return table(`By ${name.toLowerCase()}`, heads, list.map((group) => row(heads, [
      [title(group.name), group.unpriced > 0 && h("span", { class: "warn" }, ` ${num(group.unpriced)} of unknown price`)],
      num(group.requests), num(group.input_tokens), num(group.output_tokens), money(group.cost_usd)])));
  };
  show("spend",
    table("By day", days, all.days.slice(0, 14).map((day) => row(days, [title(day.name), bar(Number(day.cost_usd) / most * .999, `${usd(day.cost_usd)} USD`), num(day.requests), money(day.cost_usd)]))),
    of("Model", all.models), of("Tenant", all.tenants),
    all.copies.attempts > 0 && h("p", { class: "note" }, `${num(all.copies.requests)} shadow copies besides, for ${usd(all.copies.cost_usd)} USD.`));
  const saving = chosenSaving(status);
  show("baseline", all.savings.length ? all.savings.map((one) => h("option", { value: one.baseline }, one.baseline)) : h("option", { value: "" }, "no model with a known price"));
  if (saving) $("baseline").value = saving.baseline;
  show("savings", saving && [" the same tokens would have cost ", h("strong", null, money(saving.would_cost_usd)), " USD, and cost ", h("strong", null, money(saving.cost_usd)),
    " USD: ", h("strong", null, money(saving.saved_usd)), ` USD saved${known(saving.saved_percent) ? ` (${saving.saved_percent.toFixed(1)} %)` : ""}.`,
    saving.left_out > 0 && ` ${num(saving.left_out)} attempts are left out, of models without a known price.`]);
}

function limits(status) {
  const heads = [["Limit or budget"], ["Of whom", 0, 1], ["Used", 0, 1], ["Used", 1], ["Of", 1], ["Full again", 1]];
  const rows = [];
  for (const [name, budget] of entries(status.controls.budgets)) {
    for (const level of budget.levels) {
      rows.push([level.used, row(heads, [`${name} budget`, h("code", null, level.key), bar(level.used, pct(level.used, 0)),
        h("span", null, money(level.spent_usd), Number(level.reserved_usd) > 0 && ` + ${usd(level.reserved_usd)}`), h("span", null, money(level.hard_usd), " USD"),
        level.renewed_at ? level.renewed_at.slice(0, 10) : "never"])]);
    }
  }
  for (const [name, limit] of entries(status.controls.limits)) {
    for (const { key, levels } of limit.fullest) {
      for (const level of levels) {
        const used = level.used / level.burst;
        rows.push([used, row(heads, [`${name}: ${level.limit}`, h("code", null, key), bar(used, pct(used, 0)), num(level.used), num(level.burst), `${span(level.reset_seconds)}`])]);
      }
    }
  }
  for (const [name, admission] of entries(status.controls.admissions)) {
    // Where each has a limit of its own there is none for all.
    const max = admission.max_in_flight, used = max === null ? 0 : admission.in_flight / Math.max(1, max);
    rows.push([used, row(heads, [`${name}: in flight`, "everyone", max === null ? "" : bar(used, pct(used, 0)), num(admission.in_flight), max === null ? "" : num(max), `${num(admission.waiting)} wait`])]);
  }
  rows.sort((a, b) => b[0] - a[0]);
  $("s-limits").hidden = !rows.length && !status.controls.budgets && !status.controls.limits;
  show("limits", rows.length ? table(null, heads, rows.slice(0, 25).map(([, row]) => row)) : h("p", { class: "note" }, "Nobody has used anything of late."));
}

function refusals(status) {
  const { counts, recent } = status.refusals;
  const by = [["Reason"], ["By"], ["Since the start", 1]];
  const each = [["At"], ["Reason", 0, 1], ["Status", 1], ["Wait", 1], ["Who", 0, 1]];
  show("refusals", !counts.length ? h("p", { class: "note" }, "Nothing was refused.") : [
    table("By reason", by, [...counts].sort((a, b) => b.count - a.count).map((one) => row(by, [one.reason.replaceAll("_", " "), one.layer.replaceAll("_", " "), num(one.count)]))),
    table("The last ones", each, recent.slice(0, 12).map((one) => row(each, [h("span", { title: one.request_id || "" }, clock(one.at)), one.reason.replaceAll("_", " "), one.status,
      known(one.retry_after_seconds) ? `${num(one.retry_after_seconds)} s` : "–", h("code", null, one.caller || "–")])))]);
}

function changes(status) {
  const heads = [["At"], ["Who"], ["What"], ["Old", 0, 1], ["New", 0, 1]];
  const text = (value) => h("code", null, JSON.stringify(value));
  show("changes", status.changes.length
    ? table(null, heads, status.changes.slice(0, 12).map((one) => row(heads, [clock(one.at), one.who, `${one.kind} ${one.name}: ${one.action}`, text(one.old), text(one.new)])))
    : h("p", { class: "note" }, "Nothing since the start."));
}

function render(status) {
  const { replica } = status;
  $("name").textContent = replica.name;
  const others = replica.replicas > 1 ? `one of ${replica.replicas} replicas; the numbers are of this one alone` : "the numbers are of this process alone";
  const shared = replica.shared.length ? `. Shared with the others: ${replica.shared.join(", ")}` : "";
  $("scope").textContent = `${others[0].toUpperCase()}${others.slice(1)}, up for ${span(status.uptime_seconds)}${shared}.`;
  $("foot").textContent = `tower-relay ${status.version}`;
  for (const part of [alerts, figures, pace, upstreams, rollouts, pools, caches, spend, limits, refusals, changes]) part(status);
}

function take(status) {
  const { since_start: all } = status.traffic.requests;
  const now = { at: Date.parse(status.at), total: all.total, bad: all.failed + all.rejected };
  const before = take.before;
  if (before && now.at > before.at) {
    const seconds = (now.at - before.at) / 1000;
    history.push({ all: Math.max(0, now.total - before.total) / seconds, failed: Math.max(0, now.bad - before.bad) / seconds });
    if (history.length > 400) history.shift();
  }
  take.before = now;
  last = status;
  if (!held) { render(status); live("on", `Live, ${clock(status.at)}`); }
}

function live(kind, words) {
  $("live").className = `live ${kind}`;
  $("live").textContent = words;
}
function said(words, bad) {
  $("said").textContent = words;
  $("said").className = bad ? "said bad" : "said";
}

const token = () => sessionStorage.getItem("token") || "";
const headers = (more) => (token() ? { ...more, authorization: `Bearer ${token()}` } : { ...more });

const answered = (dialog) => new Promise((resolve) => {
  dialog.returnValue = "";
  dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok"), { once: true });
  dialog.showModal();
});
async function askToken() {
  $("token-text").value = "";
  const given = (await answered($("ask-token"))) && $("token-text").value.trim();
  if (given) sessionStorage.setItem("token", given);
  tokenButton();
  return Boolean(given);
}
function tokenButton() {
  $("token").textContent = token() ? "Forget token" : "Enter token";
}
async function sure(words, text) {
  $("t-sure").textContent = words;
  $("sure-text").textContent = text;
  $("sure-ok").textContent = words;
  return answered($("ask-sure"));
}

async function act(button) {
  const { path, words, sure: text } = button.dataset;
  const given = button.dataset.with;
  if (!token() && !(await askToken())) return;
  if (text && !(await sure(words, text))) return;
  try {
    const answer = await fetch(`admin/${path}`, { method: "POST", headers: headers({ "content-type": "application/json" }), body: given });
    const body = await answer.json();
    if (answer.status === 401) { sessionStorage.removeItem("token"); tokenButton(); }
    if (!answer.ok) return said(`${words}: ${body.error.message}`, true);
    said(`${words}: ${body.kind} ${body.name}, by ${body.who}.`);
    refresh();
  } catch {
    said(`${words}: the relay did not answer.`, true);
  }
}

async function refresh() {
  const answer = await fetch("status", { headers: headers(), cache: "no-store" });
  if (answer.ok) take(await answer.json());
}

// By fetch and not by EventSource, which cannot send a token.
async function follow() {
  for (;;) {
    try {
      const answer = await fetch("status/stream", { headers: headers(), cache: "no-store" });
      if (answer.status === 401) {
        live("off", "A token is needed to look");
        sessionStorage.removeItem("token");
        if (await askToken()) continue;
      } else if (answer.ok) {
        await listen(answer.body.pipeThrough(new TextDecoderStream()).getReader());
      }
    } catch { /* said below */ }
    live("off", last ? `Not connected since ${clock(last.at)}` : "Not connected");
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}
async function listen(reader) {
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    const data = events.at(-1)?.split("\n").find((line) => line.startsWith("data: "));
    if (data) take(JSON.parse(data.slice(6)));
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-path]");
  if (button) act(button);
});
$("hold").addEventListener("click", () => {
  held = !held;
  $("hold").setAttribute("aria-pressed", held);
  if (held) live("held", `Held, ${last ? clock(last.at) : ""}`);
  else if (last) { render(last); live("on", `Live, ${clock(last.at)}`); }
});
$("token").addEventListener("click", () => {
  if (token()) { sessionStorage.removeItem("token"); tokenButton(); said("The token is forgotten."); } else askToken();
});
$("baseline").addEventListener("change", () => {
  localStorage.setItem("baseline", $("baseline").value);
  if (last) render(last);
});
tokenButton();
follow();
