namespace MicroVm.Generators.Acpi;

/// <summary>Operation regions, their fields, and fields taken from a block of <c>devices.def</c>.</summary>
internal sealed partial class AmlEncoder
{
    private void Region(AslNode node, AmlWriter w)
    {
        w.Byte(0x5B);
        w.Byte(0x80);
        NameString(node.Arg(0), w);
        int space = Keyword(node, 1, Keywords.Space, 0);
        w.Byte(space);
        Term(node.Arg(2), w);
        Term(node.Arg(3), w);
        if (space <= 1) CheckMap(node.Arg(2), node.Arg(3)?.Op == AslNode.Integer ? node.Arg(3)!.Number : 1, io: space == 1);
    }

    private void FieldList(AslNode node, AmlWriter w)
    {
        var content = new AmlWriter();
        int flags = node.Args.Count - 3; // the last three arguments are access, lock and update rule
        for (int i = 0; i < flags; i++)
        {
            if (node.Is("BankField") && i == 2) Term(node.Arg(i), content);
            else NameString(node.Arg(i), content);
        }
        content.Byte(Keyword(node, flags, Keywords.FieldAccess, 0) | Keyword(node, flags + 1, Keywords.FieldLock, 0) << 4 | Keyword(node, flags + 2, Keywords.FieldUpdate, 0) << 5);
        ulong bit = 0;
        foreach (AslNode unit in node.Body ?? [])
        {
            content.Mark(unit.At.Line);
            if (!unit.Is("Offset")) FieldUnit(unit.Value, unit, unit.Number, ref bit, content);
            else if (unit.Number > 0xFF_FFFF || unit.Number * 8 < bit) _bag.Report(AcpiDiagnostics.Syntax, unit.At, $"expected an offset of at least {(bit + 7) / 8} bytes, found {unit.Number}");
            else FieldUnit("", unit, unit.Number * 8 - bit, ref bit, content);
        }
        w.Byte(0x5B);
        w.Byte(node.Op switch { "Field" => 0x81, "IndexField" => 0x86, _ => 0x87 });
        w.Package(content);
    }

    private void FieldUnit(string name, AslNode at, ulong bits, ref ulong bit, AmlWriter w)
    {
        if (bits > 0xFFF_FFFF) { _bag.Report(AcpiDiagnostics.Syntax, at.At, $"expected a width of fewer than 2^28 bits, found {bits}"); return; }
        if (name.Length == 0) w.Byte(0);
        else
        {
            NotKeyword(at, name);
            Segment(at, NamePath.Parse(name).Last, w);
        }
        w.PackageLength((int)bits, countsItself: false);
        bit += bits;
    }

    /// <summary><c>Registers (GEDR, SystemMemory, ${GedBase}, AcpiGed) { Selector = ESEL }</c>: region and fields from the block.</summary>
    private void Registers(AslNode node, AmlWriter w)
    {
        if (RegisterFields.Find(node, _layouts, _bag) is not { } fields) return;
        w.Byte(0x5B);
        w.Byte(0x80);
        NameString(node.Arg(0), w);
        int space = Keyword(node, 1, Keywords.Space, 0);
        w.Byte(space);
        Term(node.Arg(2), w);
        w.Integer(fields.Block.Size);
        if (space <= 1) CheckMap(node.Arg(2), fields.Block.Size, io: space == 1);
        foreach (RegisterFields.Group group in fields.Groups)
        {
            var content = new AmlWriter();
            NameString(node.Arg(0), content);
            content.Byte(Keywords.FieldAccess[fields.Access] | Keywords.FieldUpdate[group.Update] << 5);
            ulong bit = 0;
            foreach ((AslNode at, string name, RegisterLayout register) in group.Units)
            {
                content.Mark(at.At.Line);
                if (register.BitOffset > bit) FieldUnit("", at, register.BitOffset - bit, ref bit, content);
                FieldUnit(name, at, register.BitWidth, ref bit, content);
            }
            w.Byte(0x5B);
            w.Byte(0x81);
            w.Package(content);
        }
    }

    /// <summary>A range known now must stand in the map, so that the guest's idea of the machine and the bus's are one.</summary>
    private void CheckMap(AslNode? start, ulong length, bool io)
    {
        if (start is not { Op: AslNode.Integer } || _layouts.Map.Count == 0) return;
        ulong from = start.Number, to = from + Math.Max(length, 1) - 1;
        if (_layouts.Map.Any(r => r.Io == io && from >= r.Start && to < r.End && to >= from)) return;
        _bag.Report(AcpiDiagnostics.OutsideMap, start.At, io ? "port" : "memory", $"0x{from:X}", $"0x{to:X}");
    }
}
