from tenant_connector.main import main

main()
