using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Model;

/// <summary>The registers of one shape at one place: one, or several that share it.</summary>
internal sealed class SlotGroup(RegisterModel first)
{
    public List<RegisterModel> Registers { get; } = [first];

    public RegisterModel First => Registers[0];

    public IEnumerable<RegisterModel> Readable => Registers.Where(static r => r.IsReadable());

    public IEnumerable<RegisterModel> Writable => Registers.Where(static r => r.IsWritable());

    public bool Takes(RegisterModel r) =>
        r.Offset == First.Offset && r.Width == First.Width && r.Count == First.Count && r.Stride == First.Stride && r.Halves == First.Halves;

    /// <summary>The guard selects on reads too: two registers here answer in different states.</summary>
    public bool SelectsOnRead(RegisterModel r) => Registers.Any(other => Guards.Disjoint(r, other));
}

internal static class Guards
{
    /// <summary>The two guards cannot both hold: one wants a field set that the other wants clear.</summary>
    public static bool Disjoint(RegisterModel a, RegisterModel b) =>
        a.Guard.Any(x => b.Guard.Any(y => x.Not != y.Not && x.Field.Text == y.Field.Text));
}

/// <summary>Names of one block, resolved. Made where it is used, never kept in the pipeline.</summary>
internal sealed class BlockScope
{
    private readonly Dictionary<string, RegisterModel> _registers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, BankModel> _banks = new(StringComparer.Ordinal);

    public BlockScope(BlockModel block)
    {
        Block = block;
        foreach (RegisterModel register in block.Flatten())
        {
            if (!_registers.ContainsKey(register.Name.Text)) _registers.Add(register.Name.Text, register);
        }
        foreach (BankModel bank in block.Banks)
        {
            if (!_banks.ContainsKey(bank.Name.Text)) _banks.Add(bank.Name.Text, bank);
        }
        Groups = Group(block.Registers.Where(static r => !r.IsWindow));
        Windows = [.. block.Registers.Where(static r => r.IsWindow)];
    }

    public BlockModel Block { get; }

    /// <summary>Registers by offset; windows are apart.</summary>
    public List<SlotGroup> Groups { get; }

    public List<RegisterModel> Windows { get; }

    public IEnumerable<string> RegisterNames => _registers.Keys;

    public IEnumerable<string> BankNames => _banks.Keys;

    public bool HasPage => Block.Flatten().Any(static r => r.Resident);

    /// <summary>Something in the page can change, apart from windows and from what is stored in the page itself.</summary>
    public bool Publishes => Block.Flatten().Any(static r => r is { Resident: true, IsWindow: false } && r.StorageOf() is not (Storage.Page or Storage.Constant));

    public RegisterModel? Register(string name) => _registers.TryGetValue(name, out RegisterModel? r) ? r : null;

    public BankModel? Bank(string name) => _banks.TryGetValue(name, out BankModel? b) ? b : null;

    /// <summary>Every bit field that <paramref name="name"/> can mean.</summary>
    public List<(RegisterModel Register, FieldModel Field)> Fields(DottedName name)
    {
        var found = new List<(RegisterModel Register, FieldModel Field)>();
        foreach (RegisterModel register in Block.Flatten())
        {
            if (name.Owner is not null && register.Name.Text != name.Owner.Text) continue;
            foreach (FieldModel field in register.Fields)
            {
                if (field.Name.Text == name.Member.Text && field.Value is null) found.Add((register, field));
            }
        }
        return found;
    }

    /// <summary>Fields of a bank, each with the first register that reaches it.</summary>
    public List<(string Field, RegisterModel Register)> BankFields(BankModel bank)
    {
        var fields = new List<(string Field, RegisterModel Register)>();
        foreach (RegisterModel register in Block.Flatten())
        {
            DottedName? path = register.Into ?? (register.FromBank() ? register.From : null);
            if (path?.Owner?.Text == bank.Name.Text && fields.All(f => f.Field != path.Member.Text)) fields.Add((path.Member.Text, register));
        }
        return fields;
    }

    public static List<SlotGroup> Group(IEnumerable<RegisterModel> registers)
    {
        var groups = new List<SlotGroup>();
        foreach (RegisterModel register in registers)
        {
            SlotGroup? group = groups.Find(g => g.Takes(register));
            if (group is null) groups.Add(new SlotGroup(register));
            else group.Registers.Add(register);
        }
        return [.. groups.OrderBy(static g => g.First.Offset)];
    }
}
