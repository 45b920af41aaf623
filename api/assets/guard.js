/* GraphiQL's files come from outside. Where one of them cannot be had, or takes too long, the browser goes to the
   console, which needs nothing from outside; what the address says of the query goes along. */
(function () {
  "use strict";
  const PATIENCE_MS = 15000;
  let isLeaving = false;

  function leave() {
    if (isLeaving) return;
    isLeaving = true;
    location.replace(`graphql/console?without=graphiql${location.search.replace("?", "&")}`);
  }

  const timer = setTimeout(leave, PATIENCE_MS);
  window.addEventListener("error", (event) => {
    if (event.target instanceof HTMLScriptElement || event.target instanceof HTMLLinkElement) leave();
  }, true);
  window.addEventListener("load", () => clearTimeout(timer));
})();
