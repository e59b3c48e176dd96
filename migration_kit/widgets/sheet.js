// The labelling sheet: draws what the kernel says in `view` and sends what the rater does. All text from data goes
// through textContent, so that nothing in an output is obeyed.
const PATIENCE = 6000;
const SLOW =
  "The notebook's kernel has not answered yet. If it was restarted, run the cell again: nothing judged before is lost.";

function make(tag, properties = {}, ...children) {
  const { dataset, aria, ...rest } = properties;
  const node = Object.assign(document.createElement(tag), rest);
  for (const [name, value] of Object.entries(aria || {})) node.setAttribute(name, value);
  for (const child of children) if (child !== null && child !== undefined) node.append(child);
  return node;
}

const key = (name) =>
  make("kbd", { textContent: { ArrowLeft: "←", ArrowRight: "→" }[name] || name, aria: { "aria-hidden": "true" } });

function button(label, keyName, act, className = "") {
  const aria = keyName ? { "aria-keyshortcuts": keyName } : {};
  const node = make("button", { type: "button", className, aria }, keyName ? key(keyName) : null, label);
  node.addEventListener("click", act);
  return node;
}

function box(title, text, className = "") {
  const region = { role: "region", tabindex: "0", "aria-label": title };
  return make("section", { className: `mk-box ${className}` }, make("h4", { textContent: title }),
    make("div", { className: "mk-text", textContent: text || "(empty)", aria: region }));
}

function render({ model, el }) {
  const root = make("div", { className: "mk-sheet", aria: { role: "group", "aria-label": "Labelling sheet" } });
  const said = make("p", { className: "mk-said", aria: { "aria-live": "polite" } });
  const alarm = make("p", { className: "mk-alarm", aria: { role: "alert" } });
  const body = make("div");
  root.append(body, said, alarm);
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  el.append(root);

  let waiting = null;
  let main = null;
  let comment = null;
  let entry = null;

  function send(message) {
    if (waiting) return;
    waiting = setTimeout(() => { alarm.textContent = SLOW; waiting = null; }, PATIENCE);
    root.classList.add("mk-waiting");
    model.send(message);
  }

  // The task is named, so that no key can judge an output that was not on the screen when it was pressed.
  function answer(what, value = "") {
    const view = model.get("view");
    if (view.task) send({ do: what, task: view.task.id, value, comment: comment ? comment.value : "" });
  }

  function start(view) {
    const name = make("input", { type: "text", maxLength: 40, autocomplete: "off", id: `mk-name-${model.model_id || ""}` });
    const begin = () => send({ do: "start", rater: name.value });
    name.addEventListener("keydown", (event) => { if (event.key === "Enter") begin(); });
    body.append(make("h3", { textContent: "Labelling sheet" }), make("p", { textContent: view.told }));
    if (view.instructions) {
      body.append(make("details", { open: true }, make("summary", { textContent: "Instructions" }),
        make("div", { className: "mk-text", textContent: view.instructions })));
    }
    if (!view.total) return;
    body.append(make("p", { className: "mk-row" }, make("label", { htmlFor: name.id, textContent: "Your name" }), name,
      button("Start", "", begin, "mk-choice")));
    if (view.raters.length) {
      body.append(make("p", { textContent: "Begun already; the same name goes on where it stopped:" }),
        make("ul", {}, ...view.raters.map((text) => make("li", { textContent: text }))));
    }
    main = name;
  }

  function progress(view) {
    const bar = make("progress", { max: view.total, value: view.total - view.left,
      aria: { "aria-label": "Tasks answered" } });
    return make("p", { className: "mk-row mk-progress" }, make("strong", { textContent: view.place }), bar,
      make("span", { textContent: view.counts }));
  }

  function task(view) {
    const one = view.task;
    main = make("div", { className: "mk-main", tabIndex: 0, aria: { role: "group", "aria-label": `${view.place}: ${one.question}` } });
    main.setAttribute("data-lm-suppress-shortcuts", "true");
    const boxes = one.outputs.map((text, number) =>
      box(one.outputs.length > 1 ? ["Left output", "Right output"][number] : "Output", text, "mk-output"));
    comment = make("input", { type: "text", maxLength: 1000, value: view.draft, autocomplete: "off",
      id: `mk-comment-${view.step}` });
    const answers = make("p", { className: "mk-row", aria: { role: "group", "aria-label": "Your answer" } });
    for (const { value, keys, label, name } of view.choices) {
      const choice = button(label, keys[0], () => answer("judge", value), "mk-choice");
      choice.setAttribute("aria-label", name);
      answers.append(choice);
    }
    entry = null;
    if (view.asked) {
      entry = make("input", { type: "text", inputMode: "decimal", autocomplete: "off", id: `mk-entry-${view.step}` });
      answers.append(make("label", { htmlFor: entry.id, textContent: `Type ${view.asked}, then Enter` }), entry);
    }
    main.append(make("h3", { className: "mk-question", textContent: one.question }),
      ...(one.text ? [box(one.text_is, one.text)] : []), make("div", { className: "mk-outputs" }, ...boxes), answers,
      make("p", { className: "mk-row" }, make("label", { htmlFor: comment.id }, key("c"), "Comment"), comment),
      make("p", { className: "mk-row" }, button("Skip", "s", () => answer("skip")),
        button("Undo", "u", () => send({ do: "undo" })), make("span", { className: "mk-quiet", textContent: view.former })));
    body.append(progress(view), main,
      make("p", { className: "mk-elsewhere", textContent: "The keyboard is elsewhere: click the sheet to answer with keys." }));
  }

  function done(view) {
    main = make("div", { className: "mk-main", tabIndex: 0, aria: { role: "group", "aria-label": view.told } });
    main.setAttribute("data-lm-suppress-shortcuts", "true");
    main.append(make("h3", { textContent: view.told }), make("p", { textContent: view.next }));
    if (view.command) {
      const command = make("pre", { className: "mk-text mk-command", textContent: view.command });
      const copy = button("Copy the command", "", () => {
        getSelection().selectAllChildren(command);
        if (document.execCommand("copy")) said.textContent = "Copied.";
      });
      main.append(command, make("p", { className: "mk-row" }, copy));
    }
    const row = make("p", { className: "mk-row" });
    if (view.skipped) row.append(button("Back to the skipped ones", "a", () => send({ do: "again" }), "mk-choice"));
    row.append(button("Undo", "u", () => send({ do: "undo" })), button("Another rater", "", () => send({ do: "leave" })));
    main.append(row);
    body.append(progress(view), main);
  }

  function draw(first) {
    const view = model.get("view");
    const typed = comment && view.error ? comment.value : null;
    clearTimeout(waiting);
    waiting = null;
    root.classList.remove("mk-waiting");
    body.replaceChildren();
    main = comment = entry = null;
    ({ start, task, done })[view.screen](view);
    if (typed !== null && comment) comment.value = typed;
    said.textContent = view.said;
    alarm.textContent = view.error;
    // Opening the notebook must not move the keyboard; every later step follows something done in the sheet.
    if (!first) (entry || main)?.focus({ preventScroll: view.screen === "task" });
  }

  function pressed(event) {
    const view = model.get("view");
    const undoing = (event.ctrlKey || event.metaKey) && event.key === "z";
    const command = (event.ctrlKey || event.metaKey || event.altKey) && event.key !== "Enter";
    if (command && !undoing) return;
    event.stopPropagation();
    if (event.key === "Tab" || event.repeat || view.screen === "start") return;
    const typing = event.target === comment;
    if (typing || (event.target === entry && ["Enter", "Escape"].includes(event.key))) {
      if (event.key === "Enter" || event.key === "Escape") {
        event.preventDefault();
        if (typing) (entry || main).focus();
        else if (event.key === "Enter") answer("judge", entry.value);
      }
      return;
    }
    const choice = (view.choices || []).find(({ keys }) => keys.includes(event.key));
    if (choice && view.screen === "task") answer("judge", choice.value);
    else if (event.key === "u" || undoing) send({ do: "undo" });
    else if (event.key === "s" && view.screen === "task") answer("skip");
    else if (event.key === "c" && comment) comment.focus();
    else if (event.key === "a" && view.screen === "done" && view.skipped) send({ do: "again" });
    else return;
    event.preventDefault();
  }

  const clicked = (event) => {
    if (main && !event.target.closest("input, button, summary, .mk-text")) setTimeout(() => (entry || main).focus());
  };
  const changed = () => draw(false);
  root.addEventListener("keydown", pressed);
  root.addEventListener("click", clicked);
  model.on("change:view", changed);
  draw(true);
  return () => { clearTimeout(waiting); model.off("change:view", changed); };
}

export default { render };
