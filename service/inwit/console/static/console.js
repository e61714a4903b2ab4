// The console's own script: keys, the lease of this tab, drafts, clocks, dialogs. No page needs it
// to be read; without it cases cannot be held.
"use strict";

const USED_WITHIN_MS = 5 * 60_000; // a hidden page that was used so lately still holds its case
const DRAFT_AFTER_MS = 1_000;
const SAID_AT_S = [300, 60]; // of the deadline, aloud

const find = (selector, within = document) => within.querySelector(selector);
const every = (selector, within = document) => [...within.querySelectorAll(selector)];
const seconds = (text) => Number.parseFloat(text) || 0;

function csrfHeaders() {
  return JSON.parse(document.body.getAttribute("hx-headers") || "{}");
}

function post(address, fields) {
  const body = new URLSearchParams(fields);
  return fetch(address, { method: "POST", body, headers: csrfHeaders(), redirect: "manual" });
}

function show(id, shown) {
  const element = document.getElementById(id);
  if (element && element.hidden === shown) element.hidden = !shown;
}

// What a page remembers in this tab alone. It holds no content: a lease's token, or that a break
// was waved away.
const memory = {
  get: (key) => sessionStorage.getItem(`inwit:${key}`),
  set: (key, value) => sessionStorage.setItem(`inwit:${key}`, value),
  drop: (key) => sessionStorage.removeItem(`inwit:${key}`),
};

// ---- The lease of this tab ----

const lease = {
  timer: 0,
  usedAt: Date.now(),

  // A tab that was copied has the token too: the lock says which of them goes on with it.
  whileAlone(caseId, then) {
    if (!navigator.locks) return then();
    return navigator.locks.request(`inwit-lease:${caseId}`, { ifAvailable: true }, (lock) =>
      lock ? then() : null,
    );
  },

  begin() {
    const box = find("#lease");
    clearTimeout(lease.timer);
    if (!box) return;
    memory.set(`lease:${box.dataset.case}`, find("#token").value);
    show("lease-lost", false);
    lease.again(box);
  },

  again(box) {
    lease.timer = setTimeout(lease.beat, (seconds(box.dataset.leaseS) / 4) * 1000);
  },

  async beat() {
    const box = find("#lease");
    if (!box) return;
    const used = !document.hidden || Date.now() - lease.usedAt < USED_WITHIN_MS;
    if (used) await lease.renew(box);
    if (find("#lease") === box) lease.again(box);
  },

  async renew(box) {
    const token = find("#token").value;
    let answer;
    try {
      answer = await post(`/console/cases/${box.dataset.case}/renew`, { token });
    } catch {
      show("connection-lost", true);
      return;
    }
    show("connection-lost", false);
    if (find("#token")?.value !== token) return; // claimed anew meanwhile
    show("lease-lost", answer.status === 409 || answer.status === 404);
    show("signed-out", answer.status === 401 || answer.type === "opaqueredirect");
  },

  takeUp() {
    const door = find("#door");
    const form = find("#again");
    const token = door && memory.get(`lease:${door.dataset.case}`);
    if (!form || !token) return;
    if ("refused" in door.dataset) return memory.drop(`lease:${door.dataset.case}`);
    form.elements.token.value = token;
    lease.whileAlone(door.dataset.case, () => form.submit());
  },

  keepAlone() {
    const box = find("#lease");
    if (box) lease.whileAlone(box.dataset.case, () => new Promise(() => {}));
  },
};

// ---- Drafts ----

const draft = {
  timer: 0,
  unsaved: false,
  sent: false, // to the judges, as it stands

  typed() {
    draft.unsaved = true;
    draft.sent = false;
    clearTimeout(draft.timer);
    draft.timer = setTimeout(draft.save, DRAFT_AFTER_MS);
    const edit = find("#kind-edit");
    if (edit) edit.checked = true;
    find("#edit-check")?.replaceChildren();
  },

  // What the judges say of a text that was changed meanwhile is said of another text.
  answered(event) {
    if (event.detail.target?.id !== "edit-check" || draft.sent) return;
    event.detail.shouldSwap = false;
    find("#draft-state").textContent = "You went on writing while the judges read: check it again.";
  },

  async save() {
    clearTimeout(draft.timer);
    const field = find("#text");
    const form = find("#ruling");
    if (!field || !draft.unsaved || !form?.dataset.draft) return;
    draft.unsaved = false;
    const state = find("#draft-state");
    try {
      const answer = await post(form.dataset.draft, { text: field.value });
      if (answer.status === 409) {
        // No use in asking again: the case is over, or somebody else's.
        if (state) state.textContent = "The draft is not kept: this case is not yours any more.";
        return;
      }
      if (answer.status !== 204) throw new Error("not saved");
      if (state) state.textContent = "Draft saved.";
    } catch {
      draft.unsaved = true;
      draft.timer = setTimeout(draft.save, 5 * DRAFT_AFTER_MS);
      if (state) state.textContent = "The draft is not saved yet.";
    }
  },
};

// ---- Clocks: the deadline, and the time to undo ----

const clock = {
  began: performance.now(),
  said: new Set(),
  waited: 0,

  left: (from, since) => from - (performance.now() - since) / 1000,

  words(left) {
    const whole = Math.abs(Math.trunc(left));
    const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
    const parts = [hours && `${hours} h`, (hours || minutes) && `${minutes} min`];
    if (!hours) parts.push(`${whole % 60} s`);
    return parts.filter(Boolean).join(" ");
  },

  tick() {
    const due = find("#clock");
    if (due) {
      const left = clock.left(seconds(due.dataset.dueS), clock.began);
      due.textContent = `${left > 0 ? "Due in" : "Overdue by"} ${clock.words(left)}`;
      clock.say(left);
    }
    for (const form of every("[data-ends-in-s]")) clock.undo(form);
  },

  say(left) {
    for (const mark of SAID_AT_S) {
      if (left > mark || left < mark - 5 || clock.said.has(mark)) continue;
      clock.said.add(mark);
      find("#clock-said").textContent = `The case is due in ${mark / 60} min.`;
    }
  },

  undo(form) {
    form.dataset.since ||= String(performance.now());
    const left = clock.left(seconds(form.dataset.endsInS), seconds(form.dataset.since));
    if (left <= 0) form.remove();
    else find("[data-left]", form).textContent = `${Math.ceil(left)} s`;
  },
};

// ---- Keys ----

const keys = {
  commands: {},

  begin() {
    keys.commands = JSON.parse(find("#keyboard")?.dataset.keys || "{}");
  },

  // Single keys never fire where somebody types (WCAG 2.1.4), nor while a dialog is open.
  typing(target) {
    if (target.isContentEditable || target.closest("textarea, select")) return true;
    return target.matches("input") && !["radio", "checkbox"].includes(target.type);
  },

  pressed(event) {
    if (event.isComposing || event.repeat) return;
    if (event.key === "Enter" && event.ctrlKey) return keys.run("submit", event);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (keys.typing(event.target) || find("dialog[open]")) return;
    const command = keys.commands[event.key.toLowerCase()];
    if (command) keys.run(command, event);
  },

  run(command, event) {
    if (command === "part_down" || command === "part_up") {
      keys.move(command === "part_down" ? 1 : -1);
      return event.preventDefault();
    }
    const target = keys.target(command);
    if (!target) return;
    event.preventDefault();
    if (target.matches("textarea")) target.focus();
    else target.click();
    if (target.matches("[type=radio]")) target.focus();
    if (command === "edit") find("#kind-edit").checked = true;
  },

  target(command) {
    const found = every(`[data-command="${command}"]`).filter((each) => !each.disabled);
    const near = document.activeElement?.closest("[data-part]");
    // Of several to send, the one for the judged edit; of several to reveal, the one in this part.
    if (command === "submit") return found.find((each) => each.offsetParent && each.closest("#edit-check")) || found.at(-1);
    return found.find((each) => near?.contains(each)) || found[0];
  },

  move(step) {
    const parts = every("[data-part]");
    const now = parts.indexOf(document.activeElement?.closest("[data-part]"));
    const next = parts[now < 0 ? (step > 0 ? 0 : parts.length - 1) : now + step];
    next?.focus();
  },
};

// ---- Feeds ----

// Browsers keep six connections to a host over HTTP/1.1, for all tabs together: a tab that nobody
// sees gives its own up, and follows again once it is shown.
const feeds = {
  open: new Set(),

  source(address) {
    if (document.hidden) return Object.assign(new EventTarget(), { close() {} });
    const source = new EventSource(address);
    feeds.open.add(source);
    return source;
  },

  leave() {
    for (const source of feeds.open) source.close();
    feeds.open.clear();
  },

  follow() {
    feeds.leave();
    for (const box of every("[data-feed]")) {
      const fresh = box.cloneNode(true);
      box.removeAttribute("sse-connect"); // so that no late try of the extension takes it up
      box.replaceWith(fresh);
      htmx.process(fresh);
    }
  },
};

// ---- Focus ----

// What the server answers may take the focus, but not from somebody who went on meanwhile: their
// next letters would be commands.
const focus = {
  asked: null,

  free() {
    const now = document.activeElement;
    return !now || now === document.body || now === focus.asked;
  },

  take(element) {
    if (element && focus.free()) element.focus();
  },
};

// ---- The page ----

function clicked(event) {
  const button = event.target.closest("[data-opens], [data-closes], [data-dismiss]");
  if (!button) return;
  const { opens, closes, dismiss } = button.dataset;
  if (opens) document.getElementById(opens)?.showModal();
  if (closes) document.getElementById(closes)?.close();
  if (dismiss) {
    const note = document.getElementById(dismiss);
    memory.set(`dismissed:${dismiss}`, note.dataset.key);
    note.remove();
  }
}

function dismissed() {
  for (const button of every("[data-dismiss]")) {
    const note = document.getElementById(button.dataset.dismiss);
    if (memory.get(`dismissed:${note.id}`) === note.dataset.key) note.remove();
  }
}

function markProblems() {
  for (const problem of every(".field-problem")) {
    const field = fieldOf(problem);
    if (!field || field.matches("fieldset")) continue; // a group has no such state
    if (problem.textContent) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  }
}

function fieldOf(problem) {
  return find(`[aria-describedby~="${problem.id}"]`);
}

function firstProblem() {
  const field = every(".field-problem").filter((each) => each.textContent).map(fieldOf).find(Boolean);
  return field?.matches("fieldset") ? find("input", field) : field;
}

function settled(event) {
  const fresh = event.detail.elt;
  if (find("#lease") && (fresh.id === "lease" || find("#lease", fresh))) lease.begin();
  markProblems();
  dismissed();
  focus.take(find("[data-focus]", fresh.parentElement || document));
  if (fresh.matches?.("#ruling-problem, .field-problem")) focus.take(firstProblem());
  if (fresh.matches?.("[data-part]")) focus.take(fresh);
}

function begin() {
  keys.begin();
  dismissed();
  lease.begin();
  lease.keepAlone();
  lease.takeUp();
  clock.tick();
  setInterval(clock.tick, 1000);
  const address = find("#case")?.dataset.address;
  if (address && location.pathname !== address) history.replaceState(null, "", address);
  if (find("[data-saved]")) history.replaceState(null, "", location.pathname); // a reload says it not again
  const parts = find(".desk .parts");
  // Where it scrolls in the page's place, arrows scroll it.
  if (parts && getComputedStyle(parts).overflowY === "auto") parts.focus({ preventScroll: true });
}

document.addEventListener("keydown", keys.pressed);
document.addEventListener("click", clicked);
document.addEventListener("input", (event) => {
  focus.asked = null;
  if (event.target.id === "text") draft.typed();
});
document.addEventListener("focusout", (event) => {
  if (event.target.id === "text") draft.save();
});
for (const name of ["keydown", "pointerdown", "input"]) {
  document.addEventListener(name, () => (lease.usedAt = Date.now()), { passive: true });
}
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return feeds.leave();
  feeds.follow();
  if (find("#lease")) lease.renew(find("#lease"));
});
window.addEventListener("online", () => find("#lease") && lease.renew(find("#lease")));
window.addEventListener("offline", () => show("connection-lost", Boolean(find("#lease"))));
document.addEventListener("htmx:beforeRequest", (event) => {
  focus.asked = document.activeElement;
  if (event.target.id === "ruling") draft.sent = true;
});
document.addEventListener("htmx:beforeSwap", draft.answered);
document.addEventListener("htmx:afterSettle", settled);
document.addEventListener("htmx:sendError", () => show("connection-lost", true));
htmx.createEventSource = feeds.source;
begin();
