{{- define "prospo.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 36 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 36 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 36 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Every service that is on: name -> what services.toml says of it, and what the values say. */}}
{{- define "prospo.services" -}}
{{- $found := dict -}}
{{- range $name, $facts := (.Files.Get "files/services.yaml" | fromYaml) -}}
{{- $own := index $.Values.services $facts.key | default dict -}}
{{- if ne (toString (get $own "enabled")) "false" -}}
{{- $_ := set $found $name (dict "facts" $facts "own" $own) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* What a workload has: the defaults, and over them what the values say of it. Takes a dict of root, own, part. */}}
{{- define "prospo.workload" -}}
{{- $own := index .own .part | default dict -}}
{{- toJson (mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy $own)) -}}
{{- end -}}

{{- define "prospo.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | quote }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
{{ include "prospo.selector" . }}
{{- end -}}

{{- define "prospo.selector" -}}
app.kubernetes.io/part-of: prospo-m365
app.kubernetes.io/name: {{ .name | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- with .part }}
app.kubernetes.io/component: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "prospo.image" -}}
{{- $image := .root.Values.image -}}
{{- $own := .own.image | default dict -}}
{{- $at := printf "%s/%s" $image.repository .name -}}
{{- if $image.registry -}}{{- $at = printf "%s/%s" $image.registry $at -}}{{- end -}}
{{- if $own.digest -}}
{{- printf "%s@%s" $at $own.digest -}}
{{- else -}}
{{- printf "%s:%s" $at ($own.tag | default $image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* The name of a Secret, of this service where the value says so. Takes a dict of value and name. */}}
{{- define "prospo.secret" -}}
{{- .value | replace "{service}" .name -}}
{{- end -}}

{{- define "prospo.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "prospo.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Environment of a service, without what comes from Secrets. Takes a dict of root, name, facts. */}}
{{- define "prospo.env" -}}
{{- $values := .root.Values -}}
- {name: PROSPO_PUBLIC_URL, value: {{ $values.platform.publicUrl | quote }}}
- {name: PROSPO_INTERNAL_URL, value: {{ printf "http://%s-{service}:8080" (include "prospo.fullname" .root) | quote }}}
- {name: PROSPO_CLOUD, value: {{ $values.platform.cloud | quote }}}
{{- with $values.secrets.authorities }}
- {name: PROSPO_CA_BUNDLE, value: /authorities/ca.crt}
{{- end }}
{{- if .facts.database }}
- {name: PROSPO_SECRETS_DIR, value: /secrets}
- {name: PROSPO_NOTIFICATION_BASE_URL, value: {{ $values.platform.notificationUrl | default $values.platform.publicUrl | quote }}}
- {name: PROSPO_JWT_ISSUER, value: {{ $values.platform.issuer | quote }}}
- {name: PROSPO_JWT_JWKS_URL, value: {{ $values.platform.jwksUrl | quote }}}
- {name: PROSPO_JWT_AUDIENCE, value: {{ $values.platform.audience | quote }}}
- {name: PROSPO_CLIENT_ID, value: {{ $values.platform.clientId | quote }}}
- {name: PROSPO_CLIENT_CREDENTIALS_DIR, value: /keys/microsoft}
- {name: PROSPO_KEY_RING_DIR, value: /keys/ring}
- {name: PROSPO_SERVICE_KEY_PATH, value: /keys/own/service.pem}
- {name: PROSPO_SERVICE_PUBLIC_KEYS_DIR, value: /keys/public}
- {name: PROSPO_DATABASE_TLS, value: {{ $values.database.tls | quote }}}
{{- if and $values.database.tls $values.database.caSecret }}
- {name: PROSPO_DATABASE_CA, value: /database-ca/ca.crt}
{{- end }}
- {name: PROSPO_KAFKA_BOOTSTRAP_SERVERS, value: {{ $values.kafka.bootstrapServers | quote }}}
- {name: PROSPO_KAFKA_TLS, value: {{ $values.kafka.tls | quote }}}
{{- if and $values.kafka.tls $values.kafka.caSecret }}
- {name: PROSPO_KAFKA_CA, value: /kafka-ca/ca.crt}
{{- end }}
{{- if eq $values.kafka.authentication "certificate" }}
- {name: PROSPO_KAFKA_CERTIFICATE, value: /kafka-user/user.crt}
- {name: PROSPO_KAFKA_CERTIFICATE_KEY, value: /kafka-user/user.key}
{{- else if ne $values.kafka.authentication "none" }}
- {name: PROSPO_KAFKA_SASL_MECHANISM, value: {{ $values.kafka.authentication | quote }}}
- {name: PROSPO_KAFKA_USERNAME, value: {{ include "prospo.secret" (dict "value" $values.kafka.username "name" .name) | quote }}}
{{- end }}
{{- if .facts.files }}
{{- with $values.storage.objectStoreUrl }}
- {name: PROSPO_OBJECT_STORE_URL, value: {{ . | quote }}}
{{- end }}
- {name: PROSPO_OBJECT_STORE_DIR, value: /data}
{{- end }}
{{- if $values.monitoring.podMonitor }}
- {name: PROSPO_METRICS_PORT, value: "9090"}
- {name: PROSPO_METRICS_HOST, value: 0.0.0.0}
{{- end }}
{{- end }}
{{- range $name, $value := $values.platform.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{/* Volumes of a service. Secrets are files. Takes a dict of root, name, facts, owner. */}}
{{- define "prospo.volumes" -}}
{{- $values := .root.Values -}}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- with $values.secrets.authorities }}
- name: authorities
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- if .facts.database }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ include "prospo.secret" (dict "value" $values.secrets.database "name" .name) }}
          items:
            - {key: uri, path: PROSPO_DATABASE_URL}
            - {key: request-uri, path: PROSPO_REQUEST_DATABASE_URL}
            {{- if .owner }}
            - {key: owner-uri, path: PROSPO_MIGRATION_DATABASE_URL}
            {{- end }}
      - secret: # the server itself, where `uri` names a pooler
          name: {{ include "prospo.secret" (dict "value" $values.secrets.database "name" .name) }}
          optional: true
          items: [{key: direct-uri, path: PROSPO_DATABASE_DIRECT_URL}]
      {{- if has $values.kafka.authentication (list "SCRAM-SHA-512" "SCRAM-SHA-256" "PLAIN") }}
      - secret:
          name: {{ include "prospo.secret" (dict "value" $values.kafka.userSecret "name" .name) }}
          items:
            - {key: password, path: PROSPO_KAFKA_PASSWORD}
      {{- end }}
{{- range $volume, $secret := dict "key-ring" $values.secrets.keyRing "service-key" $values.secrets.serviceKey "public-keys" $values.secrets.publicKeys "microsoft" $values.secrets.microsoft }}
- name: {{ $volume }}
  secret: {secretName: {{ include "prospo.secret" (dict "value" $secret "name" $.name) }}, defaultMode: 0440}
{{- end }}
{{- if and $values.database.tls $values.database.caSecret }}
- name: database-ca
  secret: {secretName: {{ $values.database.caSecret }}, defaultMode: 0440, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- if and $values.kafka.tls $values.kafka.caSecret }}
- name: kafka-ca
  secret: {secretName: {{ $values.kafka.caSecret }}, defaultMode: 0440, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- if eq $values.kafka.authentication "certificate" }}
- name: kafka-user
  secret: {secretName: {{ include "prospo.secret" (dict "value" $values.kafka.userSecret "name" .name) }}, defaultMode: 0440}
{{- end }}
{{- if and .facts.files $values.storage.existingClaim }}
- name: data
  persistentVolumeClaim: {claimName: {{ $values.storage.existingClaim }}}
{{- end }}
{{- end }}
{{- end -}}

{{- define "prospo.mounts" -}}
{{- $values := .root.Values -}}
- {name: tmp, mountPath: /tmp}
{{- with $values.secrets.authorities }}
- {name: authorities, mountPath: /authorities, readOnly: true}
{{- end }}
{{- if .facts.database }}
- {name: secrets, mountPath: /secrets, readOnly: true}
- {name: key-ring, mountPath: /keys/ring, readOnly: true}
- {name: service-key, mountPath: /keys/own, readOnly: true}
- {name: public-keys, mountPath: /keys/public, readOnly: true}
- {name: microsoft, mountPath: /keys/microsoft, readOnly: true}
{{- if and $values.database.tls $values.database.caSecret }}
- {name: database-ca, mountPath: /database-ca, readOnly: true}
{{- end }}
{{- if and $values.kafka.tls $values.kafka.caSecret }}
- {name: kafka-ca, mountPath: /kafka-ca, readOnly: true}
{{- end }}
{{- if eq $values.kafka.authentication "certificate" }}
- {name: kafka-user, mountPath: /kafka-user, readOnly: true}
{{- end }}
{{- if and .facts.files $values.storage.existingClaim }}
- {name: data, mountPath: /data}
{{- end }}
{{- end }}
{{- end -}}
