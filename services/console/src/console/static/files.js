// How far an upload is. Without this script the form is sent all the same.
(function () {
  "use strict";
  var form = document.getElementById("sending");
  if (!form) return;
  var said = document.createElement("p"), bar = document.createElement("progress");
  said.setAttribute("role", "status");
  bar.setAttribute("aria-label", "How far the upload is");

  function failed() {
    bar.remove();
    said.className = "fault";
    said.textContent = "The upload was cut off. Send the file again; it goes on where it ended.";
    form.querySelector("button").disabled = false;
  }

  form.addEventListener("submit", function (event) {
    event.preventDefault();
    var file = form.elements.file.files[0], asked = new XMLHttpRequest();
    bar.max = file.size || 1;
    bar.value = 0;
    said.className = "quiet";
    said.textContent = file.name + " is being uploaded.";
    form.append(said, bar);
    asked.open("POST", form.action);
    asked.upload.addEventListener("progress", function (event) { bar.max = event.total || 1; bar.value = event.loaded; });
    asked.upload.addEventListener("load", function () { said.textContent = file.name + " has arrived and is being stored."; });
    asked.addEventListener("error", failed);
    asked.addEventListener("load", function () {
      if (asked.status < 400) { window.location.assign(asked.responseURL); return; }
      var main = new DOMParser().parseFromString(asked.responseText, "text/html").querySelector("main");
      if (main) document.querySelector("main").replaceWith(main);
      else failed();
    });
    asked.send(new FormData(form));
    form.querySelector("button").disabled = true;
  });
})();
