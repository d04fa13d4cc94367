@rem Shows: the caret takes the meaning of the next character and joins lines
@rem Source: Stack Overflow 4094699, how cmd.exe parses scripts
@echo off
echo a ^& b ^| c ^> d ^^ e
echo one ^
two
echo "in quotes ^ stays"
