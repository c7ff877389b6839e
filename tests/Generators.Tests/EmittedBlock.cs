using System.Buffers;
using System.Reflection;
using Microsoft.CodeAnalysis;

namespace MicroVm.Generators.Tests;

/// <summary>A case's emitted code, compiled and loaded, so that a test can drive it.</summary>
internal sealed class EmittedBlock
{
    private readonly Assembly _assembly;
    private readonly object _block;
    private readonly Type _type;

    public EmittedBlock(string name, string type, params object?[] arguments)
    {
        AdditionalText file = Harness.Text($"devices.def/{name}.def", Repository.Text($"tests/Generators.Tests/Cases/{name}.def"));
        Harness.Driver(file).RunGeneratorsAndUpdateCompilation(Harness.Compilation(Halves.Of(name)), out Compilation result, out _);
        using var image = new MemoryStream();
        Assert.True(result.Emit(image).Success);
        _assembly = Assembly.Load(image.ToArray());
        _type = _assembly.GetType("MicroVm.Devices." + type, throwOnError: true)!;
        _block = Activator.CreateInstance(_type, arguments)!;
    }

    /// <summary>Status and value: <c>Ok 0x12</c>, or the status alone.</summary>
    public string Read(uint offset, int width)
    {
        object?[] arguments = [offset, width, null];
        string status = _type.GetMethod("Read")!.Invoke(_block, arguments)!.ToString()!;
        return status == "Ok" ? $"Ok 0x{arguments[2]:x}" : status;
    }

    public string Write(uint offset, int width, ulong value) => _type.GetMethod("Write")!.Invoke(_block, [offset, width, value])!.ToString()!;

    public object? Call(string method, params object[] arguments) => _type.GetMethod(method)!.Invoke(_block, arguments);

    public object? Get(string property) => _type.GetProperty(property)!.GetValue(_block);

    public byte[] Save()
    {
        var buffer = new ArrayBufferWriter<byte>();
        Caller("Save").GetMethod("Save")!.Invoke(null, [_block, buffer]);
        return buffer.WrittenSpan.ToArray();
    }

    public void Load(byte[] state) => Caller("Load").GetMethod("Load")!.Invoke(null, [_block, state]);

    // A ref struct cannot pass through reflection, so the compiled sample brings its own way in.
    private Type Caller(string name) => _assembly.GetType("MicroVm.Devices.Caller", throwOnError: true) ?? throw new InvalidOperationException(name);
}
