// The page of one node: its status by JSON-RPC, its events by the event stream. Texts from the chain are only ever
// text nodes, so that a title with markup in it stays a title.

const EVENTS_SHOWN = 60;
const HEIGHTS_SHOWN = 720;
const REFRESH_MS = 5000;

const byId = (id) => document.getElementById(id);
const show = (id, text) => { byId(id).textContent = text; };

let number = 0;

async function call(method, params = {}) {
  number += 1;
  const answer = await fetch("rpc", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: number, method, params }),
  });
  const document = await answer.json();
  if (document.error) throw new Error(document.error.message);
  return document.result;
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function state(text, className) {
  show("state", text);
  byId("state").className = className;
}

function showValidators(members, block) {
  const signers = new Set(block ? block.commit.signers : []);
  const sorted = [...members].sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  const rows = sorted.map((member) => {
    const row = element("li");
    const proposed = block !== null && block.proposer === member.key;
    const signed = signers.has(member.key);
    row.append(element("span", proposed ? "\u25cf" : "", "mark proposed"));
    row.append(element("span", signed ? "\u2713" : "", "mark signed"));
    row.append(element("span", member.name), element("code", member.key));
    row.setAttribute("aria-label", [member.name, proposed ? "proposed" : "", signed ? "signed" : ""].join(" ").trim());
    return row;
  });
  byId("validators").replaceChildren(...rows);
}

async function refresh() {
  try {
    const status = await call("node_getStatus");
    show("chain", `${status.chain_id}${status.dev ? " (development)" : ""}`);
    document.title = `${status.name} - ${status.chain_id}`;
    show("height", status.height.toLocaleString());
    show("time", new Date(status.time_ms).toLocaleString());
    byId("time").title = new Date(status.time_ms).toISOString();
    show("node", `${status.name}, ${status.role}`);
    show("peers", String(status.peers));
    show("pool", String(status.pool));
    show("version", status.version);
    show("app-hash", status.app_hash);
    show("genesis-hash", status.genesis_hash);
    if (status.ready) state("ready", "good");
    else state(status.syncing ? "catching up" : "not ready", "bad");
    const validators = await call("chain_getValidators");
    const block = status.height > 0 ? await call("chain_getBlock", { height: status.height }) : null;
    showValidators(validators.items, block);
  } catch {
    state("the node does not answer", "bad");
  }
}

// A block pays a party for every recording and layer: one line a block and party tells it, with the sum.
const payouts = new Map();

function beat(ubeat) {
  const digits = String(ubeat).padStart(7, "0");
  return `${digits.slice(0, -6)}.${digits.slice(-6)}`;
}

function addToPayout(event) {
  if (event.event.kind !== "royalties.paid") return false;
  const known = payouts.get(event.event.party);
  if (!known || known.event.height !== event.height) return false;
  const before = known.sum ?? BigInt(known.event.event.amount_ubeat);
  known.sum = before + BigInt(event.event.amount_ubeat);
  known.count += 1;
  const words = known.event.text.replace(beat(known.event.event.amount_ubeat), beat(known.sum));
  known.text.textContent = `${words}, ${known.count} shares`;
  return true;
}

function addEvent(event) {
  // Fees are shared out in every block with a transaction: true, and not news.
  if (event.lagged || event.topic === "fees") return;
  if (addToPayout(event)) return;
  const row = element("li");
  const height = element("span", `#${event.height}`);
  height.title = new Date(event.time_ms).toLocaleString();
  const text = element("span", event.text);
  row.append(height, text);
  if (event.event.kind === "royalties.paid") payouts.set(event.event.party, { event, text, count: 1 });
  const list = byId("events");
  list.prepend(row);
  while (list.childElementCount > EVENTS_SHOWN) list.lastElementChild.remove();
}

let waiting = false;

function refreshSoon() {
  if (waiting) return;
  waiting = true;
  setTimeout(() => { waiting = false; refresh(); }, 200);
}

async function follow() {
  const status = await call("node_getStatus").catch(() => null);
  const start = Math.max(0, (status ? status.height : 0) - HEIGHTS_SHOWN);
  const stream = new EventSource(`events?from=${start}`);
  stream.onmessage = (message) => {
    const event = JSON.parse(message.data);
    if (event.topic === "block") refreshSoon();
    else addEvent(event);
  };
  stream.onerror = () => state("the event stream is broken, trying again", "bad");
  stream.onopen = refreshSoon;
}

show("curl", `curl -s ${location.origin}/rpc -d '{"jsonrpc":"2.0","id":1,"method":"node_getStatus"}'`);
refresh();
follow();
setInterval(refresh, REFRESH_MS);
