"use strict";
(() => {
  const root = document.documentElement;
  const find = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const make = (tag, className, text) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  };

  // Theme: the system's, light or dark. A page opened from a file may have no storage.
  const themes = ["system", "light", "dark"];
  const store = {
    get: () => { try { return localStorage.getItem("rlkd-theme"); } catch { return null; } },
    set: (value) => { try { localStorage.setItem("rlkd-theme", value); } catch { /* not kept */ } },
  };
  const themeButton = find("#theme");
  const setTheme = (theme) => {
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
    themeButton.textContent = `Theme: ${theme}`;
  };
  let theme = themes.includes(store.get()) ? store.get() : "system";
  setTheme(theme);
  themeButton.hidden = false;
  themeButton.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    setTheme(theme);
    store.set(theme);
  });

  const articles = all("#pairs > .pair");
  const list = find("#list");
  if (!list || articles.length === 0) return;
  root.classList.add("live");
  const body = list.tBodies[0];
  const rows = [...body.rows];
  const shownRows = () => [...body.rows].filter((row) => !row.hidden);
  let current = -1;

  // One trace at a time.
  const show = (n, move) => {
    if (!articles[n]) return;
    if (current >= 0) {
      clear(articles[current]);
      articles[current].classList.remove("current");
      rows[current].classList.remove("current");
      find("a", rows[current]).removeAttribute("aria-current");
    }
    current = n;
    articles[n].classList.add("current");
    rows[n].classList.add("current");
    find("a", rows[n]).setAttribute("aria-current", "true");
    place();
    if (move) {
      history.replaceState(null, "", `#t${n}`);
      keepInView(find(".list-box"), rows[n], 44);
      find("#nav").scrollIntoView({ block: "nearest" });
    }
  };
  const place = () => {
    const visible = shownRows();
    const at = visible.indexOf(rows[current]);
    find("#where").textContent = at < 0 ? "not in the filtered list" : `${at + 1} of ${visible.length}`;
    find("#prev").disabled = at <= 0;
    find("#next").disabled = visible.length === 0 || at === visible.length - 1;
  };
  const go = (by) => {
    const visible = shownRows();
    const at = visible.indexOf(rows[current]);
    const row = visible[at < 0 ? 0 : at + by];
    if (row) show(Number(row.dataset.n), true);
  };
  const keepInView = (box, item, head) => {
    const outer = box.getBoundingClientRect();
    const inner = item.getBoundingClientRect();
    if (inner.top < outer.top + head) box.scrollTop += inner.top - outer.top - head;
    else if (inner.bottom > outer.bottom) {
      box.scrollTop += Math.min(inner.bottom - outer.bottom + 12, inner.top - outer.top - head);
    }
  };
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (!row) return;
    event.preventDefault();
    show(Number(row.dataset.n), true);
    if (event.detail === 0) articles[current].focus();
  });
  find("#prev").addEventListener("click", () => go(-1));
  find("#next").addEventListener("click", () => go(1));

  // Sorting: numbers from the highest, text from A; a second press turns it round.
  const heads = all("thead th", list);
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.classList.contains("n") ? Number(cell.dataset.v ?? NaN) : cell.textContent;
  };
  heads.forEach((head, column) => find("button", head).addEventListener("click", () => {
    const number = head.classList.contains("n");
    const first = number ? "descending" : "ascending";
    const other = number ? "ascending" : "descending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const compare = (a, b) => {
      const [left, right] = [key(a, column), key(b, column)];
      if (!number) return sign * left.localeCompare(right, "en", { numeric: true });
      // What has no value comes last either way.
      if (Number.isNaN(left) || Number.isNaN(right)) return Number.isNaN(left) - Number.isNaN(right);
      return sign * (left - right);
    };
    const sorted = [...rows].sort((a, b) => compare(a, b) || a.dataset.n - b.dataset.n);
    body.append(...sorted);
    place();
  }));

  // Filter by id and by the whole problem.
  const filter = find("#filter");
  let texts = null;
  filter.addEventListener("input", () => {
    texts ??= rows.map((row, n) => {
      const problem = find(".prose", articles[n]);
      return `${find("a", row).textContent} ${problem ? problem.textContent : ""}`.toLowerCase();
    });
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    rows.forEach((row, n) => {
      row.hidden = !words.every((word) => texts[n].includes(word));
      if (!row.hidden) found += 1;
    });
    find("#found").textContent = words.length ? `${found} of ${rows.length}` : "";
    place();
  });

  // Steps: pointing at one lights its partner and fills the panel; a press keeps it.
  const stepOf = (target) => target.closest?.(".step");
  const sidesOf = (step) => step.closest(".sides");
  const isTeacher = (step) => step.closest(".side").classList.contains("teacher");
  const partner = (step) => {
    if (!step.dataset.pair) return null;
    const side = isTeacher(step) ? ".student" : ".teacher";
    return find(`${side} .step[data-pair="${step.dataset.pair}"]`, sidesOf(step));
  };
  let pinned = null;
  const clear = (within) => {
    pinned = null;
    all(".lit, .pinned", within).forEach((step) => step.classList.remove("lit", "pinned"));
    const panel = find(".panel", within);
    if (!panel) return;
    find(".panel-rest", panel).hidden = false;
    find(".panel-step", panel).hidden = true;
  };
  const light = (step, pin) => {
    const sides = sidesOf(step);
    all(".lit, .pinned", sides).forEach((each) => each.classList.remove("lit", "pinned"));
    const other = partner(step);
    for (const each of [step, other]) {
      each?.classList.add("lit");
      if (pin) each?.classList.add("pinned");
    }
    if (pin) pinned = step;
    fill(find(".panel", sides), step, other);
  };
  const reasons = {
    skipped: ["Skipped", "No step of the student answers to this step of the teacher. It earns no points."],
    extra: ["Extra", "This step of the student answers to no step of the teacher. It weighs on the total."],
    aside: ["Not compared", "Checks and abandoned branches are neither rewarded nor charged."],
  };
  const fill = (panel, step, other) => {
    const box = find(".panel-step", panel);
    box.replaceChildren();
    const top = make("div", "panel-head");
    const head = make("h4");
    head.append(find(".badge", step).cloneNode(true));
    top.append(head);
    box.append(top);
    if (other) {
      const data = step.dataset;
      head.append(`Pair ${data.pair}`);
      box.append(make("p", "points", `${data.credit} ${data.credit === "1.00" ? "point" : "points"}`));
      const chances = make("dl");
      for (const [name, value] of [["Same reasoning", data.reasoning], ["Same sub-problem", data.problem], ["Same answer", data.answer]]) {
        if (value === undefined) continue;
        const line = make("div", "chance");
        line.append(make("dt", "", name), make("dd", "", value));
        chances.append(line);
      }
      box.append(chances);
    } else {
      const kind = ["skipped", "extra"].find((name) => step.classList.contains(name)) ?? "aside";
      const label = find(".label", step)?.textContent;
      head.append(kind === "aside" && label ? label[0].toUpperCase() + label.slice(1) : reasons[kind][0]);
      box.append(make("p", "quiet", reasons[kind][1]));
    }
    const said = make("dl", "said");
    const [teacher, student] = isTeacher(step) ? [step, other] : [other, step];
    for (const [part, name] of [[".ask", "asks"], [".get", "gets"]]) {
      for (const [who, from] of [["Teacher", teacher], ["Student", student]]) {
        const text = from && find(part, from)?.textContent;
        if (!text) continue;
        const pair = make("div");
        pair.append(make("dt", "", `${who} ${name}`), make("dd", "", text));
        said.append(pair);
      }
    }
    box.append(said);
    if (pinned === step) {
      const acts = make("div", "acts");
      const act = (name, className, run) => {
        const button = make("button", className, name);
        button.type = "button";
        button.addEventListener("click", run);
        acts.append(button);
      };
      if (other) act("Show partner", "jump", () => select(other));
      act("Close", "", () => clear(sidesOf(step)));
      top.append(acts);
    }
    find(".panel-rest", panel).hidden = true;
    box.hidden = false;
  };
  const reveal = (step) => {
    if (step && step.offsetParent) keepInView(step.closest(".trace"), step, 10);
  };
  const turn = (sides, side) => {
    sides.dataset.show = side;
    all(".tabs button", sides).forEach((tab) => tab.setAttribute("aria-pressed", String(tab.dataset.side === side)));
  };
  const select = (step) => {
    turn(sidesOf(step), isTeacher(step) ? "teacher" : "student");
    light(step, true);
    step.focus({ preventScroll: true });
    reveal(step);
    reveal(partner(step));
    uncover(step);
  };
  // A sheet at the foot of a narrow page must not lie over the step that it speaks of.
  const uncover = (step) => {
    const sheet = find(".panel-step", sidesOf(step));
    const fixed = getComputedStyle(sheet).position === "fixed";
    const foot = (fixed ? sheet.getBoundingClientRect().top : innerHeight) - 12;
    const { top, bottom } = step.getBoundingClientRect();
    if (top < 12) scrollBy({ top: top - 60 });
    else if (bottom > foot) scrollBy({ top: Math.min(bottom - foot, top - 12) });
  };

  for (const sides of all(".sides")) {
    sides.addEventListener("mouseover", (event) => {
      const step = stepOf(event.target);
      // On narrow pages the panel is a sheet: it comes by a press only.
      if (step && !pinned && matchMedia("(hover: hover) and (min-width: 1121px)").matches) light(step, false);
    });
    sides.addEventListener("mouseleave", () => { if (!pinned) clear(sides); });
    sides.addEventListener("click", (event) => {
      const tab = event.target.closest(".tabs button");
      if (tab) return turn(sides, tab.dataset.side);
      const step = stepOf(event.target);
      if (!step || String(getSelection())) return;
      if (pinned === step) clear(sides);
      else select(step);
    });
    sides.addEventListener("keydown", (event) => {
      const trace = event.target.closest(".trace");
      if (event.key === "Escape" && pinned) {
        const back = pinned.closest(".trace");
        clear(sides);
        back.focus({ preventScroll: true });
        return event.preventDefault();
      }
      if (!trace) return;
      const steps = all(".step", trace);
      const at = steps.indexOf(document.activeElement);
      const to = { ArrowDown: at + 1, ArrowUp: at < 0 ? steps.length - 1 : at - 1, Home: 0, End: steps.length - 1 }[event.key];
      if (to !== undefined) {
        if (steps[to]) select(steps[to]);
        event.preventDefault();
      } else if ((event.key === "Enter" || event.key === " ") && at >= 0) {
        const other = partner(steps[at]);
        select(other ?? steps[at]);
        event.preventDefault();
      }
    });
  }

  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, button, .trace") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j") go(1);
    if (event.key === "k") go(-1);
  });
  find("#nav").hidden = false;
  const wanted = /^#t(\d+)$/.exec(location.hash);
  show(wanted && articles[wanted[1]] ? Number(wanted[1]) : 0, false);
  addEventListener("hashchange", () => {
    const to = /^#t(\d+)$/.exec(location.hash);
    if (to) show(Number(to[1]), true);
  });
})();
