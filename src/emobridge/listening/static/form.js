// What every page does: a form is sent once, a mistake gets the focus, languages get the names that the browser knows.

const PATIENCE = 10000; // ms after which a form may be sent again, for a page that did not come

for (const form of document.querySelectorAll("form:not([data-download])")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    else setTimeout(() => delete form.dataset.sent, PATIENCE);
    form.dataset.sent = "yes";
  });
}

// A page that comes back from the history of the browser may be sent again: the server knows whether it is its turn.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

const mistake = document.querySelector(".mistake");
if (mistake) {
  mistake.tabIndex = -1;
  mistake.focus();
}

// Options whose value is a code of two letters are languages. The server's first ones are translated already.
const page = document.documentElement.lang;
const capital = (name) => name[0].toLocaleUpperCase(page) + name.slice(1);
for (const select of document.querySelectorAll("select[data-languages]")) {
  const names = new Intl.DisplayNames([page], { type: "language", fallback: "none" });
  const others = [...select.options].filter((option) => /^[a-z]{2}$/.test(option.value)).slice(4);
  const last = others.at(-1).nextSibling;
  for (const option of others) option.textContent = capital(names.of(option.value) || option.textContent);
  others.sort((a, b) => a.textContent.localeCompare(b.textContent, page));
  for (const option of others) select.insertBefore(option, last);
}
