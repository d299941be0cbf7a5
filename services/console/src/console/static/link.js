// Hands the code of a link to the page: it stands behind the # of the address, which browsers send to nobody.
(function () {
  "use strict";
  var form = document.getElementById("link-form");
  var code = location.hash.slice(1);
  if (!form || !code) return;
  history.replaceState(null, "", location.pathname); // so that going back does not send it again
  form.elements.token.value = code;
  form.submit();
})();
